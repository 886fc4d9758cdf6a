//! Rules beside ranges, for `#[garde(custom(...))]`. Each says what a value must be.

use std::{fmt::Display, path::Path};

use garde::Error;

/// A number: no NaN, no infinity.
///
/// # Errors
/// When it is none.
pub fn finite(value: &f64, _: &()) -> garde::Result {
    holds(value.is_finite(), || "a finite number".to_owned())
}

/// A share of something: above 0, at most 1.
///
/// # Errors
/// When it is none.
pub fn share(value: &f64, _: &()) -> garde::Result {
    holds(*value > 0.0 && *value <= 1.0, || "above 0 and at most 1".to_owned())
}

/// A number within bounds that other settings give.
pub fn between<T: PartialOrd + Display + Copy>(
    min: T,
    max: T,
) -> impl FnOnce(&T, &()) -> garde::Result {
    move |value, ()| holds(min <= *value && *value <= max, || format!("{min} to {max}"))
}

/// A number from 1 to what another setting gives, as far as that is one itself.
pub fn at_most<T: PartialOrd + Display + Copy + From<u8>>(
    max: T,
) -> impl FnOnce(&T, &()) -> garde::Result {
    move |value, ()| {
        let known = max < T::from(1) || *value <= max;
        holds(known, || format!("1 to {max}"))
    }
}

/// An ascending list of numbers from 1 to `max`.
pub fn ascending(max: usize) -> impl FnOnce(&[usize], &()) -> garde::Result {
    move |list, ()| {
        let inside = list.iter().all(|value| (1..=max).contains(value));
        let rising = list.windows(2).all(|pair| pair[0] < pair[1]);
        holds(!list.is_empty() && inside && rising, || {
            format!("an ascending list of numbers, each 1 to {max}")
        })
    }
}

/// Addresses of HTTP servers.
///
/// # Errors
/// When one is none.
pub fn http_urls(urls: &[String], _: &()) -> garde::Result {
    match urls.iter().find(|url| !is_http(url)) {
        Some(url) => {
            Err(Error::new(format!("http addresses such as http://host:8081, not {url:?}")))
        }
        None => Ok(()),
    }
}

/// Addresses of HTTP servers, over TLS or not.
///
/// # Errors
/// When one is none.
pub fn web_urls(urls: &[String], _: &()) -> garde::Result {
    match urls.iter().find(|url| !is_http(url) && !is_web(url, "https://")) {
        Some(url) => Err(Error::new(format!(
            "http or https addresses such as http://host:8081, not {url:?}"
        ))),
        None => Ok(()),
    }
}

/// The address of an HTTP server, over TLS or not.
///
/// # Errors
/// When it is none.
pub fn web_url(url: &Option<String>, _: &()) -> garde::Result {
    let known = url.as_deref().is_none_or(|url| is_http(url) || is_web(url, "https://"));
    holds(known, || "an http or https address such as http://host:8081".to_owned())
}

fn is_http(url: &str) -> bool {
    is_web(url, "http://")
}

fn is_web(url: &str, scheme: &str) -> bool {
    let host = url.strip_prefix(scheme).unwrap_or_default();
    let named = !host.is_empty() && !host.starts_with(['/', ':', '?', '#']);
    named && !url.contains(char::is_whitespace)
}

/// A path that is not empty.
///
/// # Errors
/// When it is.
pub fn path(path: &Path, _: &()) -> garde::Result {
    holds(!path.as_os_str().is_empty(), || "a path".to_owned())
}

/// A path that is not empty, where there is one.
///
/// # Errors
/// When it is empty.
pub fn optional_path(path: &Option<std::path::PathBuf>, _: &()) -> garde::Result {
    path.as_deref().map_or(Ok(()), |given| self::path(given, &()))
}

/// What a rule says, unless it holds.
///
/// # Errors
/// When it does not.
pub fn holds(rule: bool, says: impl FnOnce() -> String) -> garde::Result {
    if rule { Ok(()) } else { Err(Error::new(says())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_rules_check_their_own_value_only() {
        assert!(finite(&1.0, &()).is_ok());
        assert!(finite(&f64::NAN, &()).is_err() && finite(&f64::INFINITY, &()).is_err());
        assert!(share(&1.0, &()).is_ok() && share(&1e-9, &()).is_ok());
        assert!(share(&0.0, &()).is_err() && share(&f64::NAN, &()).is_err());
        assert!(at_most(5)(&5, &()).is_ok() && at_most(5)(&6, &()).is_err());
        assert!(at_most(0)(&6, &()).is_ok(), "an invalid bound is reported by its own rule");
        assert!(between(2, 4)(&2, &()).is_ok() && between(2, 4)(&5, &()).is_err());
        assert!(ascending(8)(&[1, 8], &()).is_ok());
        for list in [&[][..], &[0, 1], &[2, 2], &[3, 1], &[9]] {
            assert!(ascending(8)(list, &()).is_err(), "{list:?}");
        }
    }

    #[test]
    fn an_http_address_has_a_host() {
        let known = |url: &str| web_url(&Some(url.to_owned()), &()).is_ok();
        assert!(known("http://host:8081") && known("http://host/path") && known("https://host"));
        for url in ["", "host:8081", "ftp://host", "http://", "http://:80", "http://a b"] {
            assert!(!known(url), "{url}");
        }
        assert!(web_url(&None, &()).is_ok());
    }
}
