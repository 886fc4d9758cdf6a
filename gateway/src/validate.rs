//! Checks what callers send and names each field that is wrong.

use std::{fmt::Display, ops::RangeInclusive};

use plugrank_contract::{
    FeatureValue, FeatureValues, Filter, FilterProblem, ItemId, TimestampMs, UserId,
};

use crate::{
    api::rank::IdText,
    problem::{FieldError, Problem},
};

/// Most errors named in one answer; a caller with more has one cause for them.
pub(crate) const MAX_ERRORS: usize = 20;

/// Most features of an item, user or request.
const MAX_FEATURES: usize = 256;
/// Longest name or text of a feature, in bytes.
const MAX_FEATURE_BYTES: usize = 256;

/// Collects errors, so that a caller sees all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<FieldError>);

impl Errors {
    pub(crate) fn add(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        if !self.full() {
            self.0.push(FieldError::new(field, detail));
        }
    }

    /// Checks the form of a filter; what its columns are is known where the items are.
    pub(crate) fn filter(&mut self, pointer: &str, filter: &Filter) {
        for FilterProblem { pointer: within, detail } in filter.problems() {
            if !self.full() {
                self.0.push(FieldError::at_pointer(format!("{pointer}{within}"), detail));
            }
        }
    }

    /// What is wrong at a place in the body, by its JSON pointer.
    pub(crate) fn at(&mut self, pointer: &str, detail: impl Into<String>) {
        if !self.full() {
            self.0.push(FieldError::at_pointer(pointer, detail));
        }
    }

    /// [`Self::text`] of a place in the body, by its JSON pointer.
    pub(crate) fn text_at(&mut self, pointer: &str, text: &str, max_bytes: usize) {
        if let Some(detail) = wrong_text(text, max_bytes) {
            self.at(pointer, detail);
        }
    }

    /// The errors, as they came.
    pub(crate) fn list(self) -> Vec<FieldError> {
        self.0
    }

    pub(crate) fn full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    /// The value, when nothing was wrong.
    pub(crate) fn none_or<T>(self, value: T) -> Result<T, Problem> {
        if self.0.is_empty() { Ok(value) } else { Err(Problem::invalid(self.0)) }
    }

    pub(crate) fn range<T: PartialOrd + Display>(
        &mut self,
        field: &str,
        value: T,
        allowed: RangeInclusive<T>,
    ) {
        if !allowed.contains(&value) {
            let (low, high) = (allowed.start(), allowed.end());
            self.add(field, format!("is {value}; it must be {low} to {high}"));
        }
    }

    pub(crate) fn text(&mut self, field: &str, text: &str, max_bytes: usize) {
        if let Some(detail) = wrong_text(text, max_bytes) {
            self.add(field, detail);
        }
    }

    /// Checks how many features there are and how long; what they are was checked when they were read.
    pub(crate) fn features(&mut self, field: &str, features: &FeatureValues) {
        if features.len() > MAX_FEATURES {
            self.add(field, format!("has {} entries; {MAX_FEATURES} is the most", features.len()));
            return;
        }
        for (name, value) in features {
            if name.is_empty() || name.len() > MAX_FEATURE_BYTES {
                self.text(field, name, MAX_FEATURE_BYTES);
                continue;
            }
            let list = matches!(value, FeatureValue::Texts(_));
            for (at, text) in value.texts().enumerate() {
                if text.len() > MAX_FEATURE_BYTES {
                    let place = if list { format!("[{at}]") } else { String::new() };
                    self.text(&format!("{field}.{name}{place}"), text, MAX_FEATURE_BYTES);
                }
            }
        }
    }

    /// Checks the length of a list, and only then its entries.
    pub(crate) fn item_ids<'i>(
        &mut self,
        field: &str,
        ids: impl ExactSizeIterator<Item = &'i IdText<'i>>,
        max: usize,
    ) {
        if ids.len() > max {
            self.add(field, format!("has {} entries; {max} is the most", ids.len()));
            return;
        }
        for (at, IdText(id)) in ids.enumerate() {
            if self.full() {
                break;
            }
            if id.is_empty() || id.len() > ItemId::MAX_BYTES {
                self.text(&format!("{field}[{at}]"), id, ItemId::MAX_BYTES);
            }
        }
    }
}

/// What is wrong with the length of a text.
fn wrong_text(text: &str, max_bytes: usize) -> Option<String> {
    match text.len() {
        0 => Some("must not be empty".to_owned()),
        length if length > max_bytes => {
            Some(format!("is {length} bytes long; {max_bytes} is the most"))
        }
        _ => None,
    }
}

/// As much of what a caller sent as an answer shows of it.
pub(crate) fn shortened(text: &str) -> &str {
    const SHOWN: usize = 64;
    text.char_indices().nth(SHOWN).map_or(text, |(end, _)| &text[..end])
}

/// A user id from a path.
pub(crate) fn user_id(id: String) -> Result<UserId, Problem> {
    let mut errors = Errors::default();
    errors.text("id", &id, UserId::MAX_BYTES);
    errors.none_or(UserId::from(id))
}

/// An item id from a path.
pub(crate) fn item_id(id: String) -> Result<ItemId, Problem> {
    let mut errors = Errors::default();
    errors.text("id", &id, ItemId::MAX_BYTES);
    errors.none_or(ItemId::from(id))
}

/// This moment.
pub(crate) fn now_ms() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is not set; every history is then still to come, which is harmless.
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Errors, IdText};

    fn empty_ids(count: usize) -> Vec<IdText<'static>> {
        vec![IdText("".into()); count]
    }

    #[test]
    fn all_errors_are_reported_up_to_a_limit() {
        let mut errors = Errors::default();
        errors.range("k", 0, 1..=500);
        errors.item_ids("candidates", empty_ids(100).iter(), 1000);
        let problem = errors.none_or(()).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("k"));
        assert_eq!(problem.errors[1].field, "candidates[0]");
        assert_eq!(problem.errors.len(), super::MAX_ERRORS);
    }

    #[test]
    fn a_list_that_is_too_long_is_one_error() {
        let mut errors = Errors::default();
        errors.item_ids("candidates", empty_ids(100).iter(), 10);
        let problem = errors.none_or(()).unwrap_err();
        assert_eq!(problem.errors.len(), 1);
        assert_eq!(problem.field.as_deref(), Some("candidates"));
    }
}
