//! How other roles are called over TLS.

use std::{iter, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{
    PeerTlsOptions,
    expiry::{PEER_AUTHORITIES, PEER_CERTIFICATE, PEER_KEY},
    files::{Authorities, Identity, provider},
    signatures::signatures_checked_by,
};

/// How the processes of a role are called, whose address in the settings has these names. A process is
/// called by its network address; its certificate is for that, or for one of the names.
///
/// # Errors
/// When the settings name no authority, or a file cannot be used.
///
/// # Panics
/// Outside a tokio runtime.
pub fn client_config(options: &PeerTlsOptions, names: &[&str]) -> Result<ClientConfig, String> {
    let Some(ca) = &options.ca_file else {
        return Err(
            "an address of https:// needs peers.tls.ca_file, the file with the authorities of the \
                    roles' certificates"
                .to_owned(),
        );
    };
    let names = names.iter().map(|name| {
        let name = ServerName::try_from((*name).to_owned());
        name.map_err(|_| "a name in an address is no name of a server".to_owned())
    });
    let verifier = Servers {
        authorities: Authorities::watch(PEER_AUTHORITIES, ca)?,
        names: names.collect::<Result<_, _>>()?,
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match options.files() {
        Some((certificate, key)) => config.with_client_cert_resolver(Arc::new(Identity::watch(
            (PEER_CERTIFICATE, certificate),
            (PEER_KEY, key),
        )?)),
        None => config.with_no_client_auth(),
    })
}

/// The authorities that the system trusts, for commands at a terminal.
#[must_use]
pub fn system_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// Checks the certificates of roles.
#[derive(Debug)]
struct Servers {
    authorities: Authorities,
    names: Vec<ServerName<'static>>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        called: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifiers = self.authorities.now();
        let check = |name| {
            verifiers.of_servers.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        };
        let mut checked = self.names.iter().chain(iter::once(called)).map(check);
        checked
            .find(|checked| !is_about_the_name(checked))
            .unwrap_or_else(|| Err(CertificateError::NotValidForName.into()))
    }

    signatures_checked_by!(of_servers);
}

fn is_about_the_name(checked: &Result<ServerCertVerified, Error>) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    let about =
        |error: &CertificateError| matches!(error, NotValidForName | NotValidForNameContext { .. });
    matches!(checked, Err(Error::InvalidCertificate(error)) if about(error))
}
