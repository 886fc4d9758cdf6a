//! The category cap: so many of one main category among the first places.

use std::collections::HashMap;

use crate::options::CategoryCapOptions;

/// Counts main categories as places are filled, first to last. Items without a category are not
/// counted.
#[derive(Clone, Debug)]
pub struct CategoryCap {
    max: usize,
    first: usize,
    counts: HashMap<u32, usize>,
    filled: usize,
}

impl CategoryCap {
    /// Nothing placed yet.
    #[must_use]
    pub fn new(options: &CategoryCapOptions) -> Self {
        let first = if options.enabled { options.first } else { 0 };
        Self { max: options.max, first, counts: HashMap::new(), filled: 0 }
    }

    /// Whether the next place may go to an item of this main category.
    #[must_use]
    pub fn admits(&self, category: Option<u32>) -> bool {
        self.filled >= self.first || self.has_room(category)
    }

    /// Whether the first places have room for one more item of this main category, wherever among
    /// them it is put.
    #[must_use]
    pub fn has_room(&self, category: Option<u32>) -> bool {
        self.first == 0
            || category
                .is_none_or(|category| self.counts.get(&category).is_none_or(|n| *n < self.max))
    }

    /// Fills the next place.
    pub fn placed(&mut self, category: Option<u32>) {
        if self.filled < self.first {
            self.count(category);
        }
        self.filled += 1;
    }

    /// Counts an item that is put among the first places later.
    pub fn count(&mut self, category: Option<u32>) {
        if let Some(category) = category {
            *self.counts.entry(category).or_insert(0) += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CategoryCap;
    use crate::options::CategoryCapOptions;

    #[test]
    fn only_the_first_places_are_capped() {
        let mut cap = CategoryCap::new(&CategoryCapOptions { enabled: true, max: 1, first: 3 });
        cap.placed(Some(7));
        assert!(!cap.admits(Some(7)) && cap.admits(Some(8)) && cap.admits(None));
        cap.placed(None);
        cap.placed(None);
        assert!(cap.admits(Some(7)), "the fourth place");
        assert!(!cap.has_room(Some(7)), "the first three");
    }

    #[test]
    fn it_can_be_turned_off() {
        let mut cap = CategoryCap::new(&CategoryCapOptions { enabled: false, max: 1, first: 9 });
        cap.placed(Some(7));
        assert!(cap.admits(Some(7)) && cap.has_room(Some(7)));
    }
}
