//! An authority of a test's own, and what it signs.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// Signs certificates.
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl TestAuthority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Plugrank test authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate (PEM).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes its own certificate.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, &self.pem).unwrap();
        path
    }

    /// Writes a certificate for names and addresses, and its key, as `NAME.crt` and `NAME.key`.
    pub fn issue(&self, folder: &Path, name: &str, valid_for: &[&str]) -> CertificateFiles {
        self.issue_until(folder, name, valid_for, (4096, 1, 1))
    }

    /// The same, of one that ends at the begin of a day (year, month, day; UTC).
    pub fn issue_until(
        &self,
        folder: &Path,
        name: &str,
        valid_for: &[&str],
        (year, month, day): (i32, u8, u8),
    ) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = valid_for.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let certificate = params.signed_by(&key, &self.issuer);
        let files = CertificateFiles {
            certificate: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, certificate.unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::new()
    }
}
