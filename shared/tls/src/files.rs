//! Certificates, keys and authorities as files say them.

use std::{path::Path, sync::Arc};

use plugrank_runtime::WatchedFile;
use rustls::{
    RootCertStore,
    client::{
        ResolvesClientCert, VerifierBuilderError, WebPkiServerVerifier, danger::ServerCertVerifier,
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

/// The cryptography of all TLS here.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate and its key, as the files say now.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Arc<WatchedFile<Certified>>);

#[derive(Debug)]
struct Certified {
    key: Arc<CertifiedKey>,
    /// When it, or one of those up to its authority, ends, in seconds since 1970.
    ends: i64,
}

impl Identity {
    /// Reads both files, each with the setting that names it, and follows them.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn watch(
        certificate: (&'static str, &Path),
        key: (&'static str, &Path),
    ) -> Result<Self, String> {
        let file = WatchedFile::open_all(&[certificate, key], |contents| {
            let chain = certificates(&contents[0])?;
            let key = PrivateKeyDer::from_pem_slice(&contents[1])
                .map_err(|error| format!("the key cannot be read: {error}"))?;
            let ends = first_end(&chain)?;
            let both = CertifiedKey::from_der(chain, key, &provider());
            both.map(|both| Certified { key: Arc::new(both), ends })
                .map_err(|error| format!("they are no certificate and its key: {error}"))
        })?;
        let file = Arc::new(file);
        WatchedFile::follow(&file);
        Ok(Self(file))
    }

    fn now(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.get().key)
    }

    /// When the first of its certificates ends, in seconds since 1970.
    pub(crate) fn ends(&self) -> i64 {
        self.0.get().ends
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Those who sign, as a file says now.
#[derive(Clone, Debug)]
pub(crate) struct Authorities(Arc<WatchedFile<Verifiers>>);

/// Checks of certificates by one set of authorities.
#[derive(Debug)]
pub(crate) struct Verifiers {
    pub(crate) of_servers: Arc<dyn ServerCertVerifier>,
    pub(crate) of_clients: Arc<dyn ClientCertVerifier>,
    /// When the first of the authorities ends, in seconds since 1970.
    pub(crate) ends: i64,
}

impl Authorities {
    /// Reads a file and follows it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn watch(setting: &'static str, path: &Path) -> Result<Self, String> {
        let file = Arc::new(WatchedFile::open(setting, path, |pem| {
            let mut roots = RootCertStore::empty();
            let authorities = certificates(pem)?;
            let ends = first_end(&authorities)?;
            for certificate in authorities {
                let refused = |error| format!("an authority cannot be used: {error}");
                roots.add(certificate).map_err(refused)?;
            }
            let roots = Arc::new(roots);
            let refused = |error: VerifierBuilderError| error.to_string();
            let servers =
                WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider());
            let clients = WebPkiClientVerifier::builder_with_provider(roots, provider());
            Ok(Verifiers {
                of_servers: servers.build().map_err(refused)?,
                of_clients: clients.build().map_err(refused)?,
                ends,
            })
        })?);
        WatchedFile::follow(&file);
        Ok(Self(file))
    }

    pub(crate) fn now(&self) -> Arc<Verifiers> {
        self.0.get()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| format!("a certificate cannot be read: {error}"))?;
    if chain.is_empty() {
        return Err("there is no certificate in PEM form".to_owned());
    }
    Ok(chain)
}

/// When the first of these certificates ends, in seconds since 1970.
fn first_end(certificates: &[CertificateDer<'_>]) -> Result<i64, String> {
    let mut first = i64::MAX;
    for certificate in certificates {
        let (_, parsed) = parse_x509_certificate(certificate)
            .map_err(|error| format!("a certificate cannot be read: {error}"))?;
        first = first.min(parsed.validity().not_after.timestamp());
    }
    Ok(first)
}
