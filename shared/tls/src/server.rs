//! What a port shows, and whom it asks.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, ServerConnection,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::{
    PeerTlsOptions, ServerTlsOptions,
    expiry::{PEER_AUTHORITIES, SERVER_CERTIFICATE, SERVER_KEY},
    files::{Authorities, Identity, provider},
    signatures::signatures_checked_by,
};

/// TLS of the ports of a process.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ServerConfig>);

/// In the data of a connection: its caller has shown a certificate that the roles' authority signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownCertificate;

impl ServerTls {
    /// TLS as the settings say; `None` without. A caller may show a certificate where roles have some of
    /// their own; one that shows none is let in here, so that probes are answered, and refused by path.
    ///
    /// # Errors
    /// When a file cannot be used, or one is missing.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(options: &ServerTlsOptions, peers: &PeerTlsOptions) -> Result<Option<Self>, String> {
        let Some((certificate, key)) = options.files() else { return Ok(None) };
        let identity = Identity::watch((SERVER_CERTIFICATE, certificate), (SERVER_KEY, key))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = match &peers.ca_file {
            Some(ca) if peers.is_mutual() => {
                let authorities = Authorities::watch(PEER_AUTHORITIES, ca)?;
                config.with_client_cert_verifier(Arc::new(Callers { authorities }))
            }
            _ => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::new(identity));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self(Arc::new(config))))
    }

    /// For the library that does the handshakes.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

impl ShownCertificate {
    /// Whether the caller of a connection has shown a certificate. Only those whose authority is trusted get
    /// that far.
    #[must_use]
    pub fn of_connection(connection: &ServerConnection) -> Option<Self> {
        connection.peer_certificates().is_some_and(|chain| !chain.is_empty()).then_some(Self)
    }
}

/// Checks the certificates of callers that show one.
#[derive(Debug)]
struct Callers {
    authorities: Authorities,
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.authorities.now().of_clients.verify_client_cert(end_entity, intermediates, now)
    }

    signatures_checked_by!(of_clients);
}
