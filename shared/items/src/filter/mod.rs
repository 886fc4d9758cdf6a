//! Filters over the columns of the table.
//!
//! A filter is compiled once a request ([`View::compile`]): names become columns, values the codes that
//! the columns have for them. Then it is asked of single items ([`CompiledFilter::keeps`]), or of all at
//! once ([`CompiledFilter::matching`]): page by page over dense columns, with one bit an item for an
//! answer.

mod compile;
mod matching;
mod test;
#[cfg(test)]
mod tests;

use plugrank_contract::ItemIndex;

pub use matching::Matching;
use test::{PAGE_WORDS, PageBits, Test};

use crate::View;

/// A [`Filter`](plugrank_contract::Filter) against one table.
///
/// ```
/// use plugrank_contract::{Filter, Item};
/// use plugrank_items::{CompiledFilter, ItemTable};
/// use plugrank_store::{ItemStats, content_hash};
///
/// let table = ItemTable::new();
/// # let item = |id: &str, price: i64| -> Item { serde_json::from_value(serde_json::json!({"item_id": id,
/// #     "title": "", "text": "", "categories": [], "created_at": null, "available": true,
/// #     "image_hash": null, "features": {"price": price}})).unwrap() };
/// let (lamp, sofa) = (item("lamp", 20), item("sofa", 900));
/// let put = |item: &Item| table.put([(item, &content_hash(item), ItemStats::default())])[0];
/// let (lamp, sofa) = (put(&lamp), put(&sofa));
///
/// let cheap: Filter =
///     serde_json::from_str(r#"{"must": [{"field": "price", "lt": 100}]}"#).unwrap();
/// let view = table.view();
/// let filter = view.compile(&cheap).unwrap();
/// assert!(filter.keeps(&view, lamp) && !filter.keeps(&view, sofa));
/// let matching = CompiledFilter::matching(&[filter], &view);
/// assert_eq!(matching.iter().collect::<Vec<_>>(), [lamp]);
/// assert!(matching.contains(lamp) && matching.len() == 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct CompiledFilter {
    /// Of each, one test is passed.
    must: Vec<Vec<Test>>,
    /// None is passed.
    must_not: Vec<Test>,
    /// One is passed, if `one_of`.
    should: Vec<Test>,
    one_of: bool,
}

impl CompiledFilter {
    /// Whether an item meets the filter. Whether it can be shown is not asked.
    #[must_use]
    pub fn keeps(&self, view: &View<'_>, index: ItemIndex) -> bool {
        let passes = |test: &Test| test.passes(view, index);
        self.must.iter().all(|tests| tests.iter().any(passes))
            && !self.must_not.iter().any(passes)
            && (!self.one_of || self.should.iter().any(passes))
    }

    /// The items that can be shown and meet all of several filters.
    #[must_use]
    pub fn matching(filters: &[Self], view: &View<'_>) -> Matching {
        let pages = (view.index_end() as usize).div_ceil(crate::row::PAGE_ROWS);
        let mut words = Vec::with_capacity(pages * PAGE_WORDS);
        for page in 0..pages {
            let mut bits = view.rows.available.page(page);
            filters.iter().for_each(|filter| filter.narrow(view, page, &mut bits));
            words.extend_from_slice(&bits);
        }
        Matching::from_words(words)
    }

    /// Takes out of a page what does not meet the filter.
    fn narrow(&self, view: &View<'_>, page: usize, bits: &mut PageBits) {
        let passed = |tests: &[Test]| {
            let mut passed = [0; PAGE_WORDS];
            tests.iter().for_each(|test| test.add_page(view, page, &mut passed));
            passed
        };
        let mut keep = |tests: &[Test], flip: u64| {
            if bits.iter().any(|word| *word != 0) {
                let passed = passed(tests);
                bits.iter_mut().zip(passed).for_each(|(word, passed)| *word &= passed ^ flip);
            }
        };
        self.must.iter().for_each(|tests| keep(tests, 0));
        if self.one_of {
            keep(&self.should, 0);
        }
        if !self.must_not.is_empty() {
            keep(&self.must_not, u64::MAX);
        }
    }
}
