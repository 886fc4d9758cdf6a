//! Who may call a role that is not the gateway: other roles by their token and their certificate, and
//! callers of the protocols that it serves beside by their keys.

use actix_web::{
    ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::Next,
    web::Data,
};
use anyhow::Result;
use plugrank_access::{Auth, Denied, Gate, MetricsAccess, RoleToken, Scope};
use plugrank_http::{Problem, health, metrics};
use plugrank_tls::ShownCertificate;

use crate::Settings;

/// Whom a role lets in.
#[derive(Clone, Debug)]
pub struct RoleAccess {
    token: Option<RoleToken>,
    /// Whether other roles show a certificate.
    mutual: bool,
    gate: Gate,
    metrics: MetricsAccess,
}

/// Refuses a port of a role that is not on loopback and has no authentication.
///
/// # Errors
/// What to write into the settings instead.
pub fn check_bind(settings: &Settings) -> Result<(), String> {
    let bind = settings.server.bind;
    let mutual = settings.peers.tls.is_mutual();
    if mutual && !settings.server.tls.is_on() {
        return Err("peers.tls has a certificate, so callers are asked for theirs, which they can show over \
                    TLS alone: give this port a certificate in server.tls, which may be the same one"
            .to_owned());
    }
    let asked =
        mutual || settings.peers.token_file.is_some() || settings.access.auth == Some(Auth::None);
    if asked || bind.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "server.bind is {bind}, which is not on loopback, and the role has no authentication. Put a \
         token (`openssl rand -hex 32`) into a file that all roles are given and name it in \
         peers.token_file; or give the roles certificates in server.tls and peers.tls; or, where only \
         roles reach the port, write down access.auth = \"none\""
    ))
}

impl RoleAccess {
    /// Of the settings.
    ///
    /// # Errors
    /// When the file of tokens cannot be used.
    pub fn new(settings: &Settings, gate: Gate) -> Result<Self> {
        let token = settings.peers.token_file.as_deref().map(RoleToken::watch).transpose();
        let token = token.map_err(anyhow::Error::msg)?;
        let mutual = settings.peers.tls.is_mutual();
        Ok(Self { token, mutual, gate, metrics: settings.access.metrics })
    }

    fn check(
        &self,
        path: &str,
        authorization: Option<&[u8]>,
        shown: Option<ShownCertificate>,
    ) -> Result<(), Denied> {
        if [health::LIVENESS, health::READINESS].contains(&path) {
            return Ok(());
        }
        let trusted = !self.mutual || shown.is_some();
        let with_token = || self.token.as_ref().is_none_or(|token| token.admits(authorization));
        let of_role = || trusted && with_token();
        let asked = self.mutual || self.token.is_some();
        if path == metrics::METRICS {
            let needed: &[Scope] = match self.metrics {
                MetricsAccess::Open => &[],
                MetricsAccess::Key => &[Scope::Metrics],
            };
            return self.gate.admit(authorization, needed).map(drop);
        }
        if let Some(open) = open_inference(path) {
            let needed: &[Scope] = if open { &[] } else { &[Scope::Rank] };
            return if asked && of_role() {
                Ok(())
            } else {
                self.gate.admit(authorization, needed).map(drop)
            };
        }
        match authorization {
            _ if of_role() => Ok(()),
            _ if !trusted => Err(Denied::NoCertificate),
            None => Err(Denied::Missing),
            Some(_) => Err(Denied::Unknown),
        }
    }
}

/// Whether a path of the Open Inference Protocol is open to all; `None` for any other.
#[cfg(feature = "open-inference")]
fn open_inference(path: &str) -> Option<bool> {
    use plugrank_open_inference::server::{PREFIX, is_probe};

    let under = path.strip_prefix(PREFIX)?;
    (under.is_empty() || under.starts_with('/')).then(|| is_probe(path))
}

#[cfg(not(feature = "open-inference"))]
fn open_inference(_: &str) -> Option<bool> {
    None
}

/// Lets a request on to its route, or says why not. Its path is read as the router reads it.
pub(crate) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let authorization = request.headers().get(AUTHORIZATION).map(|shown| shown.as_bytes());
    let access = request.app_data::<Data<RoleAccess>>();
    let shown = request.conn_data::<ShownCertificate>().copied();
    let checked =
        access.map(|access| access.check(request.match_info().as_str(), authorization, shown));
    match checked {
        Some(Ok(())) => Ok(next.call(request).await?.map_into_boxed_body()),
        Some(Err(denied)) => Ok(request.into_response(Problem::from(denied).error_response())),
        None => Err(Problem::internal("the role does not know whom it lets in").into()),
    }
}
