//! New keys, and the digest by which they are known.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What every key begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "plugrank_";

/// A new key: 256 random bits of the operating system.
///
/// # Errors
/// When it has none to give.
pub fn new_key() -> Result<String, String> {
    let mut bits = [0; 32];
    SysRng.try_fill_bytes(&mut bits).map_err(|error| format!("no random bits: {error}"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
}

/// SHA-256 of a key. Keys are random and long, so that a fast digest cannot be undone by guessing.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a key.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self(<Sha256 as sha2::Digest>::digest(key.as_bytes()).into())
    }

    /// The first bytes, to find it by.
    pub(crate) fn start(&self) -> [u8; 8] {
        let mut start = [0; 8];
        start.copy_from_slice(&self.0[..8]);
        start
    }
}

/// Takes the same time wherever they differ.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be the SHA-256 of a key, 64 hexadecimal digits".to_owned();
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_differ() {
        let keys = [new_key().unwrap(), new_key().unwrap()];
        assert_ne!(keys[0], keys[1]);
        for key in keys {
            assert_eq!(key.len(), PREFIX.len() + 43);
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        }
    }

    #[test]
    fn a_digest_is_that_of_sha256() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of_key("abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Digest::of_key("abc")));
        assert_eq!(abc.to_uppercase().parse(), Ok(Digest::of_key("abc")));
        for wrong in ["", "ba78", &abc.replace('b', "g"), &format!("{abc}00"), &"é".repeat(32)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
