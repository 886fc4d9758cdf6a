//! A part of a space of cached vectors.

/// Cached vectors of one space, in the order of their keys. Keys and vectors lie in one block, so that a page of
/// thousands is two allocations.
///
/// ```
/// use plugrank_store::VectorPage;
///
/// let mut page = VectorPage::default();
/// page.push(b"lamp", &[1, 2]);
/// page.push(b"sofa", &[]);
/// page.next = Some(b"table".to_vec());
/// let read: Vec<(&[u8], &[u8])> = page.iter().collect();
/// assert_eq!(read, [(&b"lamp"[..], &[1, 2][..]), (&b"sofa"[..], &[][..])]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VectorPage {
    bytes: Vec<u8>,
    /// Where each key, and each vector, ends.
    ends: Vec<(usize, usize)>,
    /// The key with which the next page begins; `None` after the last one.
    pub next: Option<Vec<u8>>,
}

impl VectorPage {
    /// Makes room for so many vectors like this one.
    pub fn reserve(&mut self, rows: usize, key: &[u8], vector: &[u8]) {
        self.ends.reserve(rows);
        self.bytes.reserve(rows.saturating_mul(key.len() + vector.len()));
    }

    /// Adds a vector.
    pub fn push(&mut self, key: &[u8], vector: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(vector);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// Keys and vectors.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(key_end, end)| {
            let row = (&self.bytes[start..key_end], &self.bytes[key_end..end]);
            start = end;
            row
        })
    }

    /// Vectors on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
