//! How a collector is reached, over TLS where its address says so.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

/// Largest answer of a collector that is read, in bytes: it says what it did not take.
const ANSWER_BYTES: u64 = 1 << 20;

/// Posts to a collector. It blocks, which is for the exporter's own thread alone.
#[derive(Clone, Debug)]
pub(super) struct CollectorClient(Agent);

impl CollectorClient {
    /// A client that waits for so long, and trusts the authorities of a file, or those of the system.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn new(
        endpoint: &str,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            // What a status means is the exporter's to say.
            .http_status_as_error(false);
        let config = match is_secured(endpoint) {
            true => {
                let roots = match ca_file {
                    Some(file) => authorities(file)?,
                    None => rustls_native_certs::load_native_certs().certs,
                };
                let roots =
                    roots.iter().map(|root| ureq::tls::Certificate::from_der(root).to_owned());
                let tls = TlsConfig::builder()
                    .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
                    .unversioned_rustls_crypto_provider(Arc::new(
                        rustls::crypto::ring::default_provider(),
                    ));
                config.tls_config(tls.build())
            }
            false => config,
        };
        Ok(Self(config.build().into()))
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, &*body))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

/// TLS of a gRPC connection; `None` without.
///
/// # Errors
/// When the file of authorities cannot be used.
pub(super) fn grpc_tls(
    endpoint: &str,
    ca_file: Option<&Path>,
) -> Result<Option<ClientTlsConfig>, String> {
    if !is_secured(endpoint) {
        return Ok(None);
    }
    let config = ClientTlsConfig::new();
    Ok(Some(match ca_file {
        Some(file) => {
            // The error of a wrong file names it, which tonic's does not.
            authorities(file)?;
            config.ca_certificate(Certificate::from_pem(read(file)?))
        }
        None => config.with_native_roots(),
    }))
}

fn is_secured(endpoint: &str) -> bool {
    endpoint.starts_with("https://")
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{} has no certificate in PEM form", file.display())),
        Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_ca_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("none.pem"), folder.path().join("empty.pem"));
        std::fs::write(&empty, "no certificate").unwrap();
        let second = Duration::from_secs(1);
        let refused = |file: &Path| {
            let http = CollectorClient::new("https://c:4318", Some(file), second).err();
            let grpc = grpc_tls("https://c:4317", Some(file)).err();
            assert_eq!(http, grpc);
            http.expect("a refusal")
        };
        assert!(refused(&missing).contains("none.pem cannot be read"));
        assert!(refused(&empty).contains("empty.pem has no certificate"));
        // Without TLS it is not read.
        assert!(CollectorClient::new("http://c:4318", Some(&missing), second).is_ok());
        assert!(matches!(grpc_tls("http://c:4317", Some(&missing)), Ok(None)));
    }
}
