//! The category cap: so many of one main category among the first places.

use std::collections::HashMap;

use super::{Applied, Field, Rule};

/// Caps main categories among the first places. Items without a category are not counted.
#[derive(Debug)]
pub struct CategoryCap {
    /// At most so many items of one main category; 0: no cap.
    max: usize,
    /// Places it holds in.
    first: usize,
}

impl CategoryCap {
    /// At most `max` items of a category among the first places; 0: no cap.
    #[must_use]
    pub fn new(max: usize, first: usize) -> Self {
        Self { max, first }
    }
}

impl Rule for CategoryCap {
    fn name(&self) -> &'static str {
        "category_cap"
    }

    fn begin(&self, _: &Field<'_>) -> Option<Box<dyn Applied>> {
        let Self { max, first } = *self;
        (max > 0).then(|| -> Box<dyn Applied> {
            Box::new(Counts { max, first, counts: HashMap::new(), filled: 0 })
        })
    }
}

/// Counts main categories as places are filled, first to last.
struct Counts {
    max: usize,
    first: usize,
    counts: HashMap<u32, usize>,
    filled: usize,
}

impl Counts {
    fn room(&self, category: Option<u32>) -> bool {
        category.is_none_or(|category| self.counts.get(&category).is_none_or(|n| *n < self.max))
    }

    fn count(&mut self, category: Option<u32>) {
        if let Some(category) = category {
            *self.counts.entry(category).or_insert(0) += 1;
        }
    }
}

impl Applied for Counts {
    fn placed(&mut self, field: &Field<'_>, item: usize, _: &mut [f32]) {
        if self.filled < self.first {
            self.count(field.facts.main_category(item));
        }
        self.filled += 1;
    }

    fn admits(&self, field: &Field<'_>, item: usize) -> bool {
        self.filled >= self.first || self.room(field.facts.main_category(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(max: usize, first: usize) -> Counts {
        Counts { max, first, counts: HashMap::new(), filled: 0 }
    }

    #[test]
    fn a_full_category_is_skipped_and_others_are_not() {
        let mut cap = counts(1, 3);
        cap.count(Some(7));
        assert!(!cap.room(Some(7)) && cap.room(Some(8)) && cap.room(None));
    }
}
