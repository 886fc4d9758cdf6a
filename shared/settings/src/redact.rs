//! Settings are printed and logged; a password must not be.

use serde::{Serialize, Serializer};

fn hidden(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (login, host))) => {
            // What stands alone may be a token.
            match login.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
                None => format!("{scheme}://***@{host}"),
            }
        }
        None => url.to_owned(),
    }
}

/// Writes an address without the password in it.
///
/// # Errors
/// Those of the serializer.
pub fn without_password<S: Serializer>(url: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    url.as_deref().map(hidden).serialize(to)
}

/// Writes addresses without the passwords in them.
///
/// # Errors
/// Those of the serializer.
pub fn without_passwords<S: Serializer>(urls: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(urls.iter().map(|url| hidden(url)))
}

/// Writes a password as `***`.
///
/// # Errors
/// Those of the serializer.
pub fn as_stars<S: Serializer>(password: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(|_| "***").serialize(to)
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn passwords_in_urls_are_redacted() {
        for (url, shown) in [
            ("http://a:4318/v1/traces", "http://a:4318/v1/traces"),
            ("http://app:s3cret@a:4318", "http://app:***@a:4318"),
            ("https://:s3cr@t@a", "https://:***@a"),
            ("https://s3cret@a", "https://***@a"),
        ] {
            assert_eq!(hidden(url), shown);
        }
    }
}
