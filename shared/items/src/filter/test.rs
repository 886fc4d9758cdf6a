//! A condition on one column, ready to be asked of items.

use plugrank_contract::{ItemIndex, TimestampMs};

use crate::{
    View,
    columns::{Code, Column},
    row::PAGE_ROWS,
};

/// Words of a page of items, one bit each.
pub(crate) const PAGE_WORDS: usize = PAGE_ROWS / u64::BITS as usize;

/// One bit for each item of a page.
pub(crate) type PageBits = [u64; PAGE_WORDS];

/// Numbers between two bounds, both included. NaN lies within none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Between<T> {
    pub(crate) low: T,
    pub(crate) high: T,
}

impl<T: PartialOrd + Copy> Between<T> {
    pub(crate) fn holds(self, number: T) -> bool {
        self.low <= number && number <= self.high
    }
}

/// A set of codes: one bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct CodeSet {
    words: Vec<u64>,
}

impl CodeSet {
    pub(crate) fn insert(&mut self, code: Code) {
        let word = code as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (code % 64);
    }

    pub(crate) fn intersect(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    fn contains(&self, code: Code) -> bool {
        self.words.get(code as usize / 64).is_some_and(|word| word >> (code % 64) & 1 == 1)
    }
}

/// What is asked of one column.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// A single number lies between bounds.
    Number { column: usize, between: Between<f32> },
    /// A single number is one of these, which are sorted.
    Numbers { column: usize, numbers: Box<[f32]> },
    /// The code is one of these.
    Codes { column: usize, codes: CodeSet },
    /// The item is one of these, which are sorted.
    Items(Box<[ItemIndex]>),
    /// The time of creation lies between bounds.
    Created(Between<TimestampMs>),
}

impl Test {
    /// Whether an item passes.
    pub(crate) fn passes(&self, view: &View<'_>, index: ItemIndex) -> bool {
        let columns = &view.rows.columns;
        match self {
            Self::Number { column, between } => between.holds(columns[*column].number(index)),
            Self::Numbers { column, numbers } => contains(numbers, columns[*column].number(index)),
            Self::Codes { column, codes } => codes.contains(columns[*column].code(index)),
            Self::Items(items) => items.binary_search(&index).is_ok(),
            Self::Created(between) => {
                view.row(index).created_at.is_some_and(|at| between.holds(at))
            }
        }
    }

    /// Adds the items of a page that pass.
    pub(crate) fn add_page(&self, view: &View<'_>, page: usize, bits: &mut PageBits) {
        let columns: &[Column] = &view.rows.columns;
        match self {
            Self::Number { column, between } => {
                let numbers = columns[*column].numbers.get(page);
                add(numbers, bits, |number| between.holds(*number));
            }
            Self::Numbers { column, numbers: wanted } => {
                let numbers = columns[*column].numbers.get(page);
                add(numbers, bits, |number| contains(wanted, *number));
            }
            Self::Codes { column, codes } => {
                let page = columns[*column].codes.get(page);
                add(page, bits, |code| codes.contains(*code));
            }
            Self::Items(items) => {
                let first = page * PAGE_ROWS;
                let from = items.partition_point(|item| (*item as usize) < first);
                let within = items[from..].iter().map(|item| *item as usize - first);
                for row in within.take_while(|row| *row < PAGE_ROWS) {
                    bits[row / 64] |= 1 << (row % 64);
                }
            }
            Self::Created(between) => {
                let rows = view.rows.pages.get(page).map(|page| &page.0);
                add(rows, bits, |row| row.created_at.is_some_and(|at| between.holds(at)));
            }
        }
    }
}

/// Whether a sorted list has a number.
fn contains(sorted: &[f32], number: f32) -> bool {
    match sorted {
        [one] => *one == number,
        sorted => sorted.binary_search_by(|other| other.total_cmp(&number)).is_ok(),
    }
}

fn add<T>(page: Option<impl AsRef<[T]>>, bits: &mut PageBits, passes: impl Fn(&T) -> bool) {
    let Some(page) = page else { return };
    for (word, rows) in bits.iter_mut().zip(page.as_ref().chunks(64)) {
        let mut passed = 0u64;
        for (bit, row) in rows.iter().enumerate() {
            passed |= u64::from(passes(row)) << bit;
        }
        *word |= passed;
    }
}
