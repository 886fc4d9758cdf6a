//! Which items can be shown: one bit each, so that asking for many touches little memory.

use plugrank_contract::ItemIndex;

use crate::{
    pages::{Pages, PagesMut},
    row::PAGE_ROWS,
};

/// Items of a word.
const WORD: usize = u64::BITS as usize;
/// Words of a page: 4 KiB.
const PAGE_WORDS: usize = 512;

/// A page of bits.
#[derive(Clone, Debug)]
pub(crate) struct BitPage(Box<[u64]>);

impl Default for BitPage {
    fn default() -> Self {
        Self(vec![0; PAGE_WORDS].into())
    }
}

/// Page, word and bit of an item.
fn place(index: ItemIndex) -> (usize, usize, u64) {
    let word = index as usize / WORD;
    (word / PAGE_WORDS, word % PAGE_WORDS, 1 << (index as usize % WORD))
}

/// The bits as they were published.
#[derive(Clone, Debug, Default)]
pub(crate) struct AvailabilityBits(Pages<BitPage>);

impl AvailabilityBits {
    /// Whether an item's bit is set; it is not for an index that was never given.
    pub(crate) fn get(&self, index: ItemIndex) -> bool {
        let (page, word, bit) = place(index);
        self.0.get(page).is_some_and(|page| page.0[word] & bit != 0)
    }
}

impl AvailabilityBits {
    /// The bits of the items of one page of rows.
    pub(crate) fn page(&self, page: usize) -> [u64; PAGE_ROWS / WORD] {
        let word = page * (PAGE_ROWS / WORD);
        let mut bits = [0; PAGE_ROWS / WORD];
        if let Some(page) = self.0.get(word / PAGE_WORDS) {
            let first = word % PAGE_WORDS;
            bits.copy_from_slice(&page.0[first..first + PAGE_ROWS / WORD]);
        }
        bits
    }
}

/// The bits as the writer has them.
#[derive(Debug, Default)]
pub(crate) struct AvailabilityBitsMut(PagesMut<BitPage>);

impl AvailabilityBitsMut {
    /// Sets or clears an item's bit.
    pub(crate) fn set(&mut self, index: ItemIndex, available: bool) {
        let (page, word, bit) = place(index);
        let now = self.0.get(page).is_some_and(|page| page.0[word] & bit != 0);
        if now == available {
            return;
        }
        let word = &mut self.0.page_mut(page).0[word];
        if available {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    /// The bits as they are now.
    pub(crate) fn publish(&mut self) -> AvailabilityBits {
        AvailabilityBits(self.0.publish())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use plugrank_contract::UNKNOWN_ITEM;
    use proptest::prelude::*;

    use super::AvailabilityBitsMut;

    proptest! {
        #[test]
        fn availability_is_the_last_value_set(
            changes in prop::collection::vec((0u32..70_000, any::<bool>()), 0..200),
        ) {
            let (mut bits, mut expected) = (AvailabilityBitsMut::default(), HashSet::new());
            for (index, available) in &changes {
                bits.set(*index, *available);
                match available {
                    true => expected.insert(*index),
                    false => expected.remove(index),
                };
            }
            let published = bits.publish();
            for (index, _) in &changes {
                bits.set(*index, false);
            }
            for index in changes.iter().flat_map(|(index, _)| [*index, index + 1, UNKNOWN_ITEM]) {
                prop_assert_eq!(published.get(index), expected.contains(&index));
            }
        }
    }
}
