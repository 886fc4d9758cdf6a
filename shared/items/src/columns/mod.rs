//! Typed columns: what filters and rules read of items.
//!
//! A column holds one value of every item: a number (4 bytes an item), or the code of a text or a list
//! (4 bytes an item, and each distinct text and list once). A column that has both takes both. Pages in
//! which no item has a value take nothing.

mod column;
mod dictionary;
mod saved;

use std::{collections::BTreeSet, sync::Arc};

use plugrank_contract::{FeatureValue, Item, ItemIndex, filter::BUILT_IN_COLUMNS};

pub(crate) use column::{Column, Holds};
use column::{ColumnMut, Value};
pub(crate) use dictionary::{Atom, Code};
pub(crate) use saved::SavedColumns;

use crate::ItemsOptions;

/// Name of the column of categories, which every table has.
pub(crate) const CATEGORIES: &str = "categories";

/// Names of columns that are not kept, that are remembered.
const REMEMBERED: usize = 1_000;

/// What a column holds and takes.
///
/// [`ItemTable::columns`](crate::ItemTable::columns) lists them; [`TableColumns`](crate::TableColumns) has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnStatus {
    /// Its name.
    pub name: String,
    /// `numbers`, `texts`, or `numbers and texts`; lists count as what they are of.
    pub kind: &'static str,
    /// Distinct texts and lists.
    pub distinct: usize,
    /// Its memory, in bytes.
    pub bytes: usize,
}

/// The columns as the writer has them.
#[derive(Debug)]
pub(crate) struct ColumnsMut {
    options: ItemsOptions,
    columns: Vec<ColumnMut>,
    /// Names that items have and that are not kept.
    left_out: BTreeSet<String>,
    /// Elements of the value that is written, kept for the next.
    elements: Vec<Atom>,
    published: Arc<[Column]>,
}

impl Default for ColumnsMut {
    fn default() -> Self {
        Self::new(ItemsOptions::default())
    }
}

impl ColumnsMut {
    pub(crate) fn new(options: ItemsOptions) -> Self {
        let columns = vec![ColumnMut::new(CATEGORIES)];
        let (left_out, published) = (BTreeSet::new(), Arc::default());
        Self { options, columns, left_out, elements: Vec::new(), published }
    }

    /// Writes what an item has, and takes away what it had.
    pub(crate) fn put(&mut self, index: ItemIndex, item: &Item) {
        self.note_names(item);
        let Self { columns, elements, .. } = self;
        for column in columns {
            let value = match column.name() {
                CATEGORIES => {
                    elements.clear();
                    elements.extend(item.categories.iter().map(|name| text(name)));
                    Value::Elements(elements)
                }
                name => match item.features.get(name) {
                    None => Value::Missing,
                    Some(FeatureValue::Number(number)) => Value::Number(number.as_f32()),
                    Some(value) => {
                        elements.clear();
                        elements.extend(value.texts().map(text));
                        let numbers = value.numbers().iter();
                        elements.extend(numbers.filter_map(|one| Atom::number(one.as_f32())));
                        Value::Elements(elements)
                    }
                },
            };
            column.put(index, value);
        }
    }

    /// Makes columns for features that come for the first time.
    fn note_names(&mut self, item: &Item) {
        for name in item.features.keys() {
            let kept = |column: &ColumnMut| column.name() == name;
            if BUILT_IN_COLUMNS.contains(&name.as_str()) || self.columns.iter().any(kept) {
                continue;
            }
            // One is the categories.
            if self.options.keeps(name) && self.columns.len() <= self.options.max_columns {
                self.columns.push(ColumnMut::new(name));
            } else if self.left_out.len() < REMEMBERED && !self.left_out.contains(name) {
                self.left_out.insert(name.clone());
            }
        }
    }

    /// The columns as they are now.
    pub(crate) fn publish(&mut self) -> Arc<[Column]> {
        let new = self.columns.len() != self.published.len();
        if new || self.columns.iter().any(ColumnMut::is_changed) {
            self.published = self.columns.iter_mut().map(ColumnMut::publish).collect();
        }
        Arc::clone(&self.published)
    }

    /// What the columns hold and take.
    pub(crate) fn status(&self) -> Vec<ColumnStatus> {
        let columns = self.columns.iter();
        columns
            .map(|column| ColumnStatus {
                name: column.name().to_owned(),
                kind: match column.holds() {
                    Holds { numbers: true, texts: true } => "numbers and texts",
                    Holds { numbers: true, texts: false } => "numbers",
                    Holds { numbers: false, .. } => "texts",
                },
                distinct: column.distinct(),
                bytes: column.bytes(),
            })
            .collect()
    }

    /// Names of features that items have and that are not kept, at most a thousand.
    pub(crate) fn left_out(&self) -> Vec<String> {
        self.left_out.iter().cloned().collect()
    }

    pub(crate) fn options(&self) -> &ItemsOptions {
        &self.options
    }
}

fn text(text: &str) -> Atom {
    Atom::Text(text.into())
}
