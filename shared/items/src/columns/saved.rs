//! Columns as a snapshot keeps them.

use plugrank_contract::ItemIndex;
use serde::{Deserialize, Serialize};

use super::{
    ColumnsMut,
    column::ColumnMut,
    dictionary::{Atom, Code, Dictionary},
};
use crate::ItemsOptions;

/// What is kept of the columns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedColumns {
    /// Which were kept.
    pub(crate) options: ItemsOptions,
    columns: Vec<SavedColumn>,
    left_out: Vec<String>,
}

/// What is kept of a column.
#[derive(Debug, Serialize, Deserialize)]
struct SavedColumn {
    name: String,
    atoms: Vec<SavedAtom>,
    lists: Vec<Box<[u32]>>,
    /// By item; empty where no item has a single number.
    numbers: Vec<f32>,
    /// By item; empty where no item has another value.
    codes: Vec<Code>,
}

#[derive(Debug, Serialize, Deserialize)]
enum SavedAtom {
    Text(Box<str>),
    Number(u32),
}

impl ColumnsMut {
    /// What is to be kept, for the items below `end`.
    pub(crate) fn saved(&self, end: ItemIndex) -> SavedColumns {
        SavedColumns {
            options: self.options.clone(),
            columns: self
                .published
                .iter()
                .map(|column| SavedColumn {
                    name: column.name.to_string(),
                    atoms: column
                        .dictionary
                        .atoms()
                        .map(|(_, atom)| match atom {
                            Atom::Text(text) => SavedAtom::Text(text.clone()),
                            Atom::Number(bits) => SavedAtom::Number(*bits),
                        })
                        .collect(),
                    lists: column.dictionary.lists().cloned().collect(),
                    numbers: match column.numbers.get(0) {
                        Some(_) => (0..end).map(|index| column.number(index)).collect(),
                        None => Vec::new(),
                    },
                    codes: match column.codes.get(0) {
                        Some(_) => (0..end).map(|index| column.code(index)).collect(),
                        None => Vec::new(),
                    },
                })
                .collect(),
            left_out: self.left_out(),
        }
    }
}

impl SavedColumns {
    /// The columns of a table of so many items; `None` where the parts do not fit together.
    pub(crate) fn restored(&self, items: usize) -> Option<ColumnsMut> {
        let mut columns = ColumnsMut::new(self.options.clone());
        columns.left_out = self.left_out.iter().cloned().collect();
        columns.columns =
            self.columns.iter().map(|saved| saved.restored(items)).collect::<Option<_>>()?;
        let names = columns.columns.iter().map(ColumnMut::name);
        let distinct = names.collect::<std::collections::BTreeSet<_>>().len();
        (distinct == columns.columns.len()).then_some(columns)
    }
}

impl SavedColumn {
    fn restored(&self, items: usize) -> Option<ColumnMut> {
        let Self { name, atoms, lists, numbers, codes } = self;
        let fits = |length: usize| length == 0 || length == items;
        if !fits(numbers.len()) || !fits(codes.len()) {
            return None;
        }
        let dictionary = dictionary(atoms, lists)?;
        ColumnMut::restored(name, dictionary, numbers, codes)
    }
}

/// A dictionary of these values in this order, of which none may be there twice.
fn dictionary(atoms: &[SavedAtom], lists: &[Box<[u32]>]) -> Option<Dictionary> {
    let dictionary = Dictionary::default();
    for (number, atom) in (0..).zip(atoms) {
        let atom = match atom {
            SavedAtom::Text(text) => Atom::Text(text.clone()),
            SavedAtom::Number(bits) => Atom::number(f32::from_bits(*bits))?,
        };
        if dictionary.code(&[atom]) != number * 2 + 1 {
            return None;
        }
    }
    for (number, list) in (0..).zip(lists) {
        let known = list.len() > 1 && list.iter().all(|atom| (*atom as usize) < atoms.len());
        if !known || dictionary.list(list.clone()) != number * 2 + 2 {
            return None;
        }
    }
    Some(dictionary)
}
