//! One feature: from its values to the cells of a row.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use plugrank_contract::{FeatureValue, TensorDtype, feature::Number};

use super::{
    number::NumberCoding,
    presence::Presence,
    schema::{Derive, Feature, FeatureKind},
};
use crate::{Bundle, BundleError, vocabulary::Vocabulary};

/// Id of a value that is absent, and of padding.
pub const MISSING: u32 = 0;
/// Id of a value outside the vocabulary.
pub const UNKNOWN: u32 = 1;
/// Id of a vocabulary's first value.
const FIRST: u32 = 2;

/// What a column holds of one item, user, request or candidate.
pub(super) enum Found<'a> {
    Nothing,
    Text(&'a str),
    Texts(&'a [String]),
    Number(Number),
    Value(&'a FeatureValue),
}

impl<'a> From<Option<&'a FeatureValue>> for Found<'a> {
    fn from(value: Option<&'a FeatureValue>) -> Self {
        value.map_or(Self::Nothing, Self::Value)
    }
}

/// One feature.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Empty where it is derived.
    pub(super) column: String,
    pub(super) derive: Option<Derive>,
    pub(super) length: usize,
    pub(super) dtype: TensorDtype,
    coding: Coding,
}

#[derive(Debug)]
enum Coding {
    Category(Arc<Vocabulary>),
    Number(NumberCoding),
}

impl Column {
    /// Features of one vocabulary share it: `read` has those that were read already.
    pub(super) fn load<'a>(
        bundle: &Bundle,
        read: &mut HashMap<&'a str, Arc<Vocabulary>>,
        feature: &'a Feature,
    ) -> Result<Self, BundleError> {
        let coding = match feature.kind {
            FeatureKind::Category => {
                // The manifest's rules were checked: a category has a vocabulary.
                let file = feature.vocab.as_deref().unwrap_or_default();
                let vocabulary = match read.get(file) {
                    Some(vocabulary) => Arc::clone(vocabulary),
                    None => Arc::new(Vocabulary::load(&bundle.path(file), file)?),
                };
                read.insert(file, Arc::clone(&vocabulary));
                Coding::Category(vocabulary)
            }
            FeatureKind::Number => {
                Coding::Number(NumberCoding::new(feature.transform.clone(), feature.missing))
            }
        };
        Ok(Self {
            name: feature.name.clone(),
            column: feature.column.clone().unwrap_or_default(),
            derive: feature.derive,
            length: feature.length,
            dtype: feature.dtype(),
            coding,
        })
    }

    /// Appends the cells of what was found, cut or padded to the feature's length.
    pub(super) fn push(&self, found: Found<'_>, scratch: &mut String, row: &mut Vec<u32>) {
        let end = row.len() + self.length;
        match &self.coding {
            Coding::Category(vocabulary) => {
                let id = |text: &str| id(vocabulary, text);
                match found {
                    Found::Nothing => {}
                    Found::Number(number) => row.push(id(&number.to_string())),
                    Found::Text(text) => row.push(id(text)),
                    Found::Texts(texts) => {
                        row.extend(texts.iter().take(self.length).map(|text| id(text)));
                    }
                    Found::Value(value) => {
                        row.extend(value.texts().take(self.length).map(id));
                        row.extend(value.numbers().iter().take(self.length).map(|number| {
                            scratch.clear();
                            // Writing to a string cannot fail.
                            let _ = write!(scratch, "{number}");
                            id(scratch)
                        }));
                    }
                }
                row.resize(end, MISSING);
            }
            Coding::Number(coding) => {
                match found {
                    Found::Value(value) => {
                        let numbers = value.numbers().iter().take(self.length);
                        row.extend(numbers.map(|number| coding.cell(*number)));
                    }
                    Found::Number(number) => row.push(coding.cell(number)),
                    Found::Nothing | Found::Text(_) | Found::Texts(_) => {}
                }
                row.resize(end, coding.missing());
            }
        }
    }

    /// What was found. A list counts by its first value outside the vocabulary, among those that are read.
    pub(super) fn presence(&self, found: Found<'_>) -> Presence {
        let (mut any, mut unknown) = (false, false);
        match &self.coding {
            Coding::Category(vocabulary) => {
                let mut note = |text: &str| {
                    any |= !text.is_empty();
                    unknown |= id(vocabulary, text) == UNKNOWN;
                };
                match found {
                    Found::Nothing => {}
                    Found::Number(number) => note(&number.to_string()),
                    Found::Text(text) => note(text),
                    Found::Texts(texts) => {
                        texts.iter().take(self.length).for_each(|text| note(text));
                    }
                    Found::Value(value) => {
                        value.texts().take(self.length).for_each(&mut note);
                        let numbers = value.numbers().iter().take(self.length);
                        numbers.for_each(|number| note(&number.to_string()));
                    }
                }
            }
            Coding::Number(_) => {
                any = match found {
                    Found::Value(value) => !value.numbers().is_empty(),
                    Found::Number(_) => true,
                    Found::Nothing | Found::Text(_) | Found::Texts(_) => false,
                };
            }
        }
        match (any, unknown) {
            (false, _) => Presence::Missing,
            (true, true) => Presence::Unknown,
            (true, false) => Presence::Known,
        }
    }

    /// The same by its cells. A plain number that is missing looks like one that is there: `has_number` says.
    pub(super) fn presence_in(
        &self,
        cells: &[u32],
        has_number: impl Fn() -> Option<bool>,
    ) -> Option<Presence> {
        let there = match self.dtype {
            TensorDtype::I64 => cells.first().is_some_and(|id| *id != MISSING),
            _ => has_number()?,
        };
        let of_vocabulary = matches!(self.coding, Coding::Category(_));
        Some(match there {
            false => Presence::Missing,
            true if of_vocabulary && cells.contains(&UNKNOWN) => Presence::Unknown,
            true => Presence::Known,
        })
    }

    /// Why the value cannot be this feature's.
    pub(super) fn refuses(&self, value: &FeatureValue) -> Option<String> {
        let text = match (&self.coding, value) {
            (Coding::Number(_), FeatureValue::Text(_)) => true,
            (Coding::Number(_), FeatureValue::Texts(texts)) => !texts.is_empty(),
            _ => false,
        };
        text.then(|| format!("is {}; the model reads a number", value.kind()))
    }

    /// Cells at the ends of its range.
    pub(super) fn probes(&self) -> Vec<u32> {
        match &self.coding {
            Coding::Category(vocabulary) => {
                let last = u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
                vec![MISSING, UNKNOWN, last.saturating_add(UNKNOWN)]
            }
            Coding::Number(coding) => coding.probes(),
        }
    }
}

fn id(vocabulary: &Vocabulary, value: &str) -> u32 {
    match vocabulary.place(value) {
        _ if value.is_empty() => MISSING,
        Some(place) => place.saturating_add(FIRST),
        None => UNKNOWN,
    }
}
