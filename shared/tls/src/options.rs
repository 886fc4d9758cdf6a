//! Sections `[server.tls]` and `[peers.tls]` of the settings.

use std::path::{Path, PathBuf};

use garde::Validate;
use plugrank_settings::rules::{holds, optional_path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS on the ports of the process. The files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTlsOptions {
    /// File with the certificate and those between it and its authority (PEM). Absent: no TLS.
    #[garde(custom(optional_path), custom(with(&self.key_file, "server.tls.key_file")))]
    #[schemars(example = &"/etc/plugrank/tls.crt")]
    pub certificate_file: Option<PathBuf>,
    /// File with its private key (PEM).
    #[garde(custom(optional_path), custom(with(&self.certificate_file, "server.tls.certificate_file")))]
    #[schemars(example = &"/etc/plugrank/tls.key")]
    pub key_file: Option<PathBuf>,
}

/// TLS between roles, whose addresses then begin with https://. The files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct PeerTlsOptions {
    /// File with the authorities of the roles' certificates (PEM); no others are trusted.
    #[garde(custom(optional_path))]
    #[schemars(example = &"/etc/plugrank/roles-ca.crt")]
    pub ca_file: Option<PathBuf>,
    /// File with the certificate that this process shows to other roles (PEM). A role that has one asks
    /// its callers for one too (mutual TLS), beside the token where that is set.
    #[garde(
        custom(optional_path),
        custom(with(&self.key_file, "peers.tls.key_file")),
        custom(needs(&self.ca_file, "peers.tls.ca_file"))
    )]
    #[schemars(example = &"/etc/plugrank/role.crt")]
    pub certificate_file: Option<PathBuf>,
    /// File with its private key (PEM).
    #[garde(custom(optional_path), custom(with(&self.certificate_file, "peers.tls.certificate_file")))]
    #[schemars(example = &"/etc/plugrank/role.key")]
    pub key_file: Option<PathBuf>,
}

impl ServerTlsOptions {
    /// Certificate and key, where the ports speak TLS.
    pub(crate) fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.certificate_file.as_deref()?, self.key_file.as_deref()?))
    }

    /// Whether the ports speak TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.files().is_some()
    }
}

impl PeerTlsOptions {
    /// Certificate and key, where roles show one.
    pub(crate) fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.certificate_file.as_deref()?, self.key_file.as_deref()?))
    }

    /// Whether roles show each other certificates.
    #[must_use]
    pub fn is_mutual(&self) -> bool {
        self.ca_file.is_some() && self.files().is_some()
    }
}

/// Both are there or neither.
fn with(
    other: &Option<PathBuf>,
    name: &'static str,
) -> impl FnOnce(&Option<PathBuf>, &()) -> garde::Result {
    let there = other.is_some();
    move |given, ()| {
        holds(given.is_some() || !there, || format!("given where {name} is: they go together"))
    }
}

/// The other is there where this one is.
fn needs(
    other: &Option<PathBuf>,
    name: &'static str,
) -> impl FnOnce(&Option<PathBuf>, &()) -> garde::Result {
    let there = other.is_some();
    move |given, ()| holds(given.is_none() || there, || format!("absent, or {name} given as well"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictory_settings_are_named() {
        let some = |name: &str| Some(PathBuf::from(name));
        let server = ServerTlsOptions { certificate_file: some("c"), key_file: None };
        let error = server.validate().unwrap_err().to_string();
        assert!(
            error.starts_with("key_file: given where server.tls.certificate_file is"),
            "{error}"
        );
        assert!(!server.is_on());
        let shows =
            PeerTlsOptions { certificate_file: some("c"), key_file: some("k"), ca_file: None };
        let error = shows.validate().unwrap_err().to_string();
        assert!(error.contains("peers.tls.ca_file given as well"), "{error}");
        let mutual = PeerTlsOptions { ca_file: some("a"), ..shows };
        assert!(mutual.validate().is_ok() && mutual.is_mutual());
        let trusts = PeerTlsOptions { ca_file: some("a"), ..PeerTlsOptions::default() };
        assert!(trusts.validate().is_ok() && !trusts.is_mutual());
    }
}
