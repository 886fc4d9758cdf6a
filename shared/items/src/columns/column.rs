//! A column: one value of every item.

use std::sync::Arc;

use plugrank_contract::ItemIndex;

use super::dictionary::{Atom, Code, Dictionary, MISSING};
use crate::{
    pages::{Pages, PagesMut},
    row::PAGE_ROWS,
};

/// A page of one part of a column; empty before the first value of it is written.
type Page<T> = Vec<T>;

/// A column as it was published.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Arc<str>,
    /// Values that are single numbers; NaN where there is none.
    pub(crate) numbers: Pages<Page<f32>>,
    /// Other values.
    pub(crate) codes: Pages<Page<Code>>,
    /// What the codes stand for.
    pub(crate) dictionary: Arc<Dictionary>,
    /// Which values it ever had.
    pub(crate) holds: Holds,
}

/// Which kinds of values a column ever had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) numbers: bool,
    pub(crate) texts: bool,
}

impl Column {
    /// The number of an item, where it has a single one; else NaN.
    pub(crate) fn number(&self, index: ItemIndex) -> f32 {
        at(&self.numbers, index).unwrap_or(f32::NAN)
    }

    /// Whether an item has a value.
    pub(crate) fn has_value(&self, index: ItemIndex) -> bool {
        self.code(index) != MISSING || !self.number(index).is_nan()
    }

    /// Names an item's value, of a list its first element; 0 where it has none. Alike for values that
    /// are alike.
    pub(crate) fn first_key(&self, index: ItemIndex) -> u32 {
        match (self.code(index), self.number(index)) {
            (MISSING, number) if number.is_nan() => 0,
            // The bits of a finite number are not all set, and those of 0 are none.
            (MISSING, number) => number.to_bits() + 1,
            (code, _) => self.dictionary.first(code),
        }
    }

    /// The code of an item's value.
    pub(crate) fn code(&self, index: ItemIndex) -> Code {
        at(&self.codes, index).unwrap_or(MISSING)
    }
}

fn at<T: Copy>(pages: &Pages<Page<T>>, index: ItemIndex) -> Option<T> {
    let page = pages.get(index as usize / PAGE_ROWS)?;
    page.get(index as usize % PAGE_ROWS).copied()
}

/// A column as the writer has it.
#[derive(Debug)]
pub(crate) struct ColumnMut {
    numbers: PagesMut<Page<f32>>,
    codes: PagesMut<Page<Code>>,
    published: Column,
}

impl ColumnMut {
    pub(crate) fn new(name: &str) -> Self {
        let published = Column {
            name: name.into(),
            numbers: Pages::default(),
            codes: Pages::default(),
            dictionary: Arc::default(),
            holds: Holds::default(),
        };
        Self { numbers: PagesMut::default(), codes: PagesMut::default(), published }
    }

    /// A column of these values; `None` where a code stands for nothing. Numbers and codes are empty
    /// where no item has one.
    pub(crate) fn restored(
        name: &str,
        dictionary: Dictionary,
        numbers: &[f32],
        codes: &[Code],
    ) -> Option<Self> {
        if !codes.iter().all(|code| dictionary.knows(*code)) {
            return None;
        }
        let of_numbers = dictionary.atoms().any(|(_, atom)| atom.as_number().is_some());
        let of_texts = dictionary.atoms().any(|(_, atom)| atom.as_number().is_none());
        let mut column = Self::new(name);
        column.published.holds = Holds {
            numbers: of_numbers || numbers.iter().any(|number| !number.is_nan()),
            texts: of_texts,
        };
        column.published.dictionary = Arc::new(dictionary);
        for (index, number) in (0..).zip(numbers) {
            set(&mut column.numbers, index, *number, f32::NAN, |a, b| a.to_bits() == b.to_bits());
        }
        for (index, code) in (0..).zip(codes) {
            set(&mut column.codes, index, *code, MISSING, |a, b| a == b);
        }
        Some(column)
    }

    pub(crate) fn name(&self) -> &str {
        &self.published.name
    }

    /// Gives an item a value; none where both are empty. Texts and numbers that are several become a
    /// list.
    pub(crate) fn put(&mut self, index: ItemIndex, value: Value<'_>) {
        let holds = &mut self.published.holds;
        let (number, code) = match value {
            Value::Missing => (f32::NAN, MISSING),
            // -0 is 0.
            Value::Number(number) if number.is_finite() => (number + 0.0, MISSING),
            Value::Number(_) => (f32::NAN, MISSING),
            // A list of one number is that number.
            Value::Elements([Atom::Number(bits)]) => (f32::from_bits(*bits), MISSING),
            Value::Elements(elements) => (f32::NAN, self.published.dictionary.code(elements)),
        };
        holds.numbers |= !number.is_nan();
        if let (Value::Elements(elements), true) = (value, code != MISSING) {
            holds.numbers |= elements.iter().any(|atom| atom.as_number().is_some());
            holds.texts |= elements.iter().any(|atom| atom.as_number().is_none());
        }
        set(&mut self.numbers, index, number, f32::NAN, |a, b| a.to_bits() == b.to_bits());
        set(&mut self.codes, index, code, MISSING, |a, b| a == b);
    }

    /// Whether a value changed since the column was last published.
    pub(crate) fn is_changed(&self) -> bool {
        self.numbers.is_changed() || self.codes.is_changed()
    }

    /// The column as it is now.
    pub(crate) fn publish(&mut self) -> Column {
        if self.numbers.is_changed() {
            self.published.numbers = self.numbers.publish();
        }
        if self.codes.is_changed() {
            self.published.codes = self.codes.publish();
        }
        self.published.clone()
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let filled = |pages: usize| pages * PAGE_ROWS * 4;
        let numbers = self.numbers.iter().filter(|page| !page.is_empty()).count();
        let codes = self.codes.iter().filter(|page| !page.is_empty()).count();
        filled(numbers) + filled(codes) + self.published.dictionary.bytes()
    }

    /// Distinct values, its single numbers apart.
    pub(crate) fn distinct(&self) -> usize {
        self.published.dictionary.len()
    }

    pub(crate) fn holds(&self) -> Holds {
        self.published.holds
    }
}

/// A value on its way into a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Missing,
    Number(f32),
    /// A text, or several texts or numbers.
    Elements(&'a [Atom]),
}

/// Writes a value where it differs from what is there, so that a page without changes is not
/// copied.
fn set<T: Copy>(
    pages: &mut PagesMut<Page<T>>,
    index: ItemIndex,
    value: T,
    none: T,
    same: impl Fn(T, T) -> bool,
) {
    let (page, row) = (index as usize / PAGE_ROWS, index as usize % PAGE_ROWS);
    let there = pages.get(page).and_then(|page| page.get(row).copied()).unwrap_or(none);
    if same(there, value) {
        return;
    }
    let page = pages.page_mut(page);
    if page.is_empty() {
        page.resize(PAGE_ROWS, none);
    }
    page[row] = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_numbers_and_lists() {
        let mut column = ColumnMut::new("size");
        let texts = ["s", "m"].map(|text| Atom::Text(text.into()));
        let numbers = [38.0, 39.5].map(|number| Atom::number(number).unwrap());
        column.put(700, Value::Number(38.0));
        column.put(2, Value::Elements(&texts));
        column.put(3, Value::Elements(&numbers[..1]));
        column.put(4, Value::Elements(&numbers));
        column.put(5, Value::Number(f32::NAN));
        let published = column.publish();
        assert_eq!(published.holds, Holds { numbers: true, texts: true });
        assert_eq!((published.number(700), published.code(700)), (38.0, MISSING));
        assert!(published.number(5).is_nan() && published.number(9_999).is_nan());
        assert_eq!(published.number(3), 38.0, "a list of one number is that number");
        assert_eq!([2, 3, 4, 5].map(|item| published.code(item)), [2, MISSING, 4, MISSING]);
        column.put(700, Value::Missing);
        assert!(!column.is_changed() || column.publish().number(700).is_nan());
        assert_eq!(published.number(700), 38.0, "a published column does not change");
        column.put(700, Value::Missing);
        assert!(!column.is_changed(), "an equal value is no change");
    }
}
