//! Range checks that name the key, what it was and what it may be.

use std::{fmt, fmt::Display, ops::RangeInclusive, path::Path};

/// A setting with an impossible value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key, e.g. `server.k_max`.
    pub key: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be, e.g. `1 to 10000`.
    pub allowed: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}; it must be {}", self.key, self.value, self.allowed)
    }
}

/// Collects violations, so that a person sees all of them at once.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Violation>);

impl Checks {
    pub(super) fn range<T>(&mut self, key: &'static str, value: T, allowed: RangeInclusive<T>)
    where
        T: PartialOrd + Display,
    {
        // A NaN lies in no range, so it is refused as well.
        if !allowed.contains(&value) {
            let allowed = format!("{} to {}", allowed.start(), allowed.end());
            self.fail(key, value.to_string(), allowed);
        }
    }

    /// A share of something: above 0, at most 1.
    pub(super) fn share(&mut self, key: &'static str, share: f64) {
        if !(share > 0.0 && share <= 1.0) {
            self.fail(key, share.to_string(), "above 0 and at most 1".to_owned());
        }
    }

    pub(super) fn that(&mut self, holds: bool, key: &'static str, value: &str, allowed: &str) {
        if !holds {
            self.fail(key, format!("{value:?}"), allowed.to_owned());
        }
    }

    pub(super) fn http_url(&mut self, key: &'static str, value: Option<&str>) {
        let Some(url) = value else { return };
        let host = url.strip_prefix("http://").unwrap_or_default();
        let named = !host.is_empty() && !host.starts_with(['/', ':', '?', '#']);
        let clean = !url.contains(char::is_whitespace);
        self.that(named && clean, key, url, "an http address such as http://host:8081");
    }

    pub(super) fn path(&mut self, key: &'static str, value: &Path) {
        self.that(!value.as_os_str().is_empty(), key, "", "a path");
    }

    pub(super) fn ascending(&mut self, key: &'static str, list: &[usize], max: usize) {
        let inside = list.iter().all(|value| (1..=max).contains(value));
        let rising = list.windows(2).all(|pair| pair[0] < pair[1]);
        if list.is_empty() || !inside || !rising {
            let allowed = format!("an ascending list of numbers, each 1 to {max}");
            self.fail(key, format!("{list:?}"), allowed);
        }
    }

    pub(super) fn fail(&mut self, key: &'static str, value: String, allowed: String) {
        self.0.push(Violation { key, value, allowed });
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.0
    }
}
