//! A key as settings have it.

use std::{collections::BTreeMap, time::SystemTime};

use chrono::{DateTime, Utc};
use garde::Validate;
use plugrank_settings::rules::holds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, LimitOptions, Scope};

/// Longest name of a key, in bytes.
const MAX_NAME: usize = 64;

/// A key by its digest: the key itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// SHA-256 of the key, in hexadecimal digits.
    #[garde(skip)]
    pub sha256: Digest,
    /// What it may do.
    #[garde(length(min = 1))]
    pub scopes: Vec<Scope>,
    /// When it expires (RFC 3339). Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(moment))]
    pub expires: Option<String>,
    /// Requests a second. Absent: as access.limits says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = 1_000_000))]
    pub per_second: Option<u32>,
    /// Requests at once above that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
    /// Requests a day. Absent: as access.limits says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = 1_000_000_000))]
    pub per_day: Option<u32>,
}

/// Keys by their names.
pub type KeyEntries = BTreeMap<String, KeyEntry>;

impl KeyEntry {
    /// A key without an end and with the limits of everybody.
    #[must_use]
    pub fn new(sha256: Digest, scopes: Vec<Scope>) -> Self {
        Self { sha256, scopes, expires: None, per_second: None, burst: None, per_day: None }
    }

    /// When it ends.
    pub(crate) fn expiry(&self) -> Option<SystemTime> {
        self.expires.as_deref().and_then(read_moment)
    }

    /// Its limits; what it does not say is as everybody's.
    pub(crate) fn limits(&self, everybody: &LimitOptions) -> LimitOptions {
        LimitOptions {
            per_second: self.per_second.or(everybody.per_second),
            // A burst goes with its rate.
            burst: self.burst.or(if self.per_second.is_some() { None } else { everybody.burst }),
            per_day: self.per_day.or(everybody.per_day),
        }
    }
}

fn read_moment(text: &str) -> Option<SystemTime> {
    let moment: DateTime<Utc> = DateTime::parse_from_rfc3339(text).ok()?.into();
    let millis = u64::try_from(moment.timestamp_millis()).ok()?;
    Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis))
}

/// A moment as RFC 3339 writes it.
fn moment(text: &Option<String>, _: &()) -> garde::Result {
    let known = text.as_deref().is_none_or(|text| read_moment(text).is_some());
    holds(known, || "a moment such as 2030-01-01T00:00:00Z".to_owned())
}

/// Names of keys: they are in logs and metrics.
pub(crate) fn names(keys: &KeyEntries, _: &()) -> garde::Result {
    let known = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
    };
    match keys.keys().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(garde::Error::new(format!(
            "a table whose names have 1 to {MAX_NAME} letters, digits, `-` and `_`, not {name:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_times_are_parsed_and_errors_name_them() {
        let ends = |expires: &str| KeyEntry {
            expires: Some(expires.to_owned()),
            ..KeyEntry::new(Digest::of_key("k"), vec![Scope::Rank])
        };
        let after = |entry: &KeyEntry| {
            entry.expiry().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(after(&ends("2030-01-01T00:00:00Z")), 1_893_456_000);
        assert_eq!(after(&ends("2030-01-01T01:00:00+01:00")), 1_893_456_000);
        assert!(ends("2030-01-01T00:00:00Z").validate().is_ok());
        let error = ends("2030-01-01").validate().unwrap_err().to_string();
        assert!(error.contains("2030-01-01T00:00:00Z"), "{error}");
    }

    #[test]
    fn a_key_without_limits_has_the_default_limits() {
        let everybody = LimitOptions { per_second: Some(10), burst: Some(20), per_day: Some(1000) };
        let plain = KeyEntry::new(Digest::of_key("k"), vec![Scope::Rank]);
        assert_eq!(plain.limits(&everybody), everybody);
        let own = KeyEntry { per_second: Some(5), ..plain };
        let expected = LimitOptions { per_second: Some(5), burst: None, per_day: Some(1000) };
        assert_eq!(own.limits(&everybody), expected);
    }

    #[test]
    fn key_names_are_plain() {
        let named = |name: &str| {
            let entry = KeyEntry::new(Digest::of_key("k"), vec![Scope::Rank]);
            names(&KeyEntries::from([(name.to_owned(), entry)]), &()).is_ok()
        };
        assert!(named("shop-2030_a"));
        for name in ["", "a b", "a\n", "é", &"n".repeat(65)] {
            assert!(!named(name), "{name:?}");
        }
    }
}
