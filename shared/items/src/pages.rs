//! A growing array of pages that is read without a lock while it is written.
//!
//! The writer changes pages of its own and publishes them; what was published never changes. Pages
//! lie in chunks, so that publishing one changed page of a million rows copies a few hundred
//! pointers.

use std::sync::Arc;

/// Pages of a chunk.
const CHUNK: usize = 256;

/// Pages as they were published.
#[derive(Debug)]
pub(crate) struct Pages<P> {
    chunks: Arc<[Chunk<P>]>,
}

type Chunk<P> = Arc<[Arc<P>]>;

impl<P> Clone for Pages<P> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks) }
    }
}

impl<P> Default for Pages<P> {
    fn default() -> Self {
        Self { chunks: Arc::default() }
    }
}

impl<P> Pages<P> {
    /// A page; `None` beyond the last.
    pub(crate) fn get(&self, page: usize) -> Option<&P> {
        Some(self.chunks.get(page / CHUNK)?.get(page % CHUNK)?)
    }
}

/// Pages as the writer has them.
#[derive(Debug)]
pub(crate) struct PagesMut<P> {
    pages: Vec<Arc<P>>,
    chunks: Vec<Chunk<P>>,
    /// Chunks with pages that changed since they were last published.
    changed: Vec<usize>,
}

impl<P> Default for PagesMut<P> {
    fn default() -> Self {
        Self { pages: Vec::new(), chunks: Vec::new(), changed: Vec::new() }
    }
}

impl<P: Clone + Default> PagesMut<P> {
    /// A page to change, made with those before it when there is none. It is copied first when it
    /// was published.
    pub(crate) fn page_mut(&mut self, page: usize) -> &mut P {
        let chunk = page / CHUNK;
        if self.changed.last() != Some(&chunk) && !self.changed.contains(&chunk) {
            self.changed.push(chunk);
        }
        while self.pages.len() <= page {
            let added = self.pages.len() / CHUNK;
            if !self.changed.contains(&added) {
                self.changed.push(added);
            }
            self.pages.push(Arc::default());
        }
        Arc::make_mut(&mut self.pages[page])
    }

    /// A page as the writer has it; `None` beyond the last.
    pub(crate) fn get(&self, page: usize) -> Option<&P> {
        self.pages.get(page).map(Arc::as_ref)
    }

    /// Whether a page changed since the pages were last published.
    pub(crate) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The pages as the writer has them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &P> {
        self.pages.iter().map(Arc::as_ref)
    }

    /// The pages as they are now.
    pub(crate) fn publish(&mut self) -> Pages<P> {
        self.chunks.resize_with(self.pages.len().div_ceil(CHUNK), Arc::default);
        for chunk in self.changed.drain(..) {
            let end = self.pages.len().min((chunk + 1) * CHUNK);
            self.chunks[chunk] = self.pages[chunk * CHUNK..end].iter().cloned().collect();
        }
        Pages { chunks: self.chunks.iter().cloned().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_pages_do_not_change() {
        let mut pages = PagesMut::<Vec<u32>>::default();
        pages.page_mut(0).push(1);
        pages.page_mut(300).push(2);
        let before = pages.publish();
        pages.page_mut(300).push(3);
        pages.page_mut(301).push(4);
        assert_eq!((before.get(0), before.get(300)), (Some(&vec![1]), Some(&vec![2])));
        assert_eq!((before.get(150), before.get(301)), (Some(&vec![]), None));
        let after = pages.publish();
        assert_eq!((after.get(300), after.get(301)), (Some(&vec![2, 3]), Some(&vec![4])));
        assert!(
            Arc::ptr_eq(&before.chunks[0], &after.chunks[0]),
            "what did not change is not copied"
        );
    }
}
