//! The items that meet a filter.

use plugrank_contract::ItemIndex;

/// A set of items, one bit each: those that can be shown and meet a filter.
///
/// [`CompiledFilter`](crate::CompiledFilter) has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    words: Vec<u64>,
    count: usize,
}

impl Matching {
    pub(super) fn from_words(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, count }
    }

    /// Whether an item is one of them.
    #[must_use]
    pub fn contains(&self, index: ItemIndex) -> bool {
        let word = self.words.get(index as usize / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ItemIndex> {
        (0..).zip(&self.words).flat_map(|(number, word): (ItemIndex, &u64)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(number * 64 + bit)
            })
        })
    }
}
