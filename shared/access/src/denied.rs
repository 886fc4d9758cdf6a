//! Why a caller is refused.

use std::{fmt, time::Duration};

use crate::Scope;

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It shows nothing.
    Missing,
    /// It shows something else than a bearer token.
    Scheme,
    /// It shows no certificate, which the roles show each other.
    NoCertificate,
    /// It shows a key that is not known, or no more.
    Unknown,
    /// What it shows has expired.
    Expired,
    /// It shows a token that is not good, and why.
    Token(&'static str),
    /// The caller is known and may not do this.
    Scope {
        /// Who.
        caller: String,
        /// One of these would be needed.
        needs: &'static [Scope],
    },
    /// The caller asks too much in a second.
    Rate {
        /// Who.
        caller: String,
        /// When the next request passes.
        after: Duration,
    },
    /// The caller asks more at once than it ever may.
    AtOnce {
        /// Who.
        caller: String,
        /// Requests that it may ask at once.
        most: u32,
    },
    /// The caller has asked as much as it may in a day.
    Quota {
        /// Who.
        caller: String,
        /// When the next request passes.
        after: Duration,
    },
}

impl Denied {
    /// A short name, for metrics.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Missing | Self::Scheme => "no_key",
            Self::NoCertificate => "no_certificate",
            Self::Unknown => "unknown_key",
            Self::Expired => "expired_key",
            Self::Token(_) => "bad_token",
            Self::Scope { .. } => "scope",
            Self::Rate { .. } | Self::AtOnce { .. } => "rate",
            Self::Quota { .. } => "quota",
        }
    }

    /// The challenge of `WWW-Authenticate` (RFC 6750); none where who is asking is known.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let error = match self {
            Self::Missing => return Some(REALM.to_owned()),
            Self::Scheme => "invalid_request",
            Self::Unknown | Self::Expired | Self::Token(_) => "invalid_token",
            Self::Scope { needs, .. } => {
                let needs = one_of(needs, " ");
                return Some(format!("{REALM}, error=\"insufficient_scope\", scope=\"{needs}\""));
            }
            Self::Rate { .. } | Self::AtOnce { .. } | Self::Quota { .. } | Self::NoCertificate => {
                return None;
            }
        };
        Some(format!("{REALM}, error=\"{error}\", error_description=\"{self}\""))
    }
}

const REALM: &str = "Bearer realm=\"plugrank\"";

fn one_of(scopes: &[Scope], between: &str) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(between)
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "send a key: `Authorization: Bearer KEY`; `plugrank keys new` makes one",
            ),
            Self::Scheme => f.write_str("Authorization must be `Bearer KEY`"),
            Self::NoCertificate => f.write_str(
                "show a certificate of the roles' authority (peers.tls.certificate_file)",
            ),
            Self::Unknown => f.write_str("the key is not known here"),
            Self::Expired => f.write_str("the key has expired"),
            Self::Token(why) => write!(f, "the token {why}"),
            Self::Scope { caller, needs } => {
                write!(f, "{caller} may not do this: it needs the scope {}", one_of(needs, " or "))
            }
            Self::Rate { caller, .. } => write!(f, "{caller} asks more often than it may"),
            Self::AtOnce { caller, most } => {
                write!(f, "{caller} may ask for {most} at once; send fewer in a batch")
            }
            Self::Quota { caller, .. } => write!(f, "{caller} has used up its requests of a day"),
        }
    }
}
