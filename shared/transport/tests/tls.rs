//! Roles that call one another over TLS.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, dev::Service as _, web};
use async_trait::async_trait;
use plugrank_body::BodyMemory;
use plugrank_contract::{Call, CallError, Context, ErrorCode};
use plugrank_http::HttpServer;
use plugrank_runtime::{Health, Shutdown};
use plugrank_tls::{
    PeerTlsOptions, ServerTls, ServerTlsOptions, ShownCertificate,
    test_certificates::{CertificateFiles, TestAuthority},
};
use plugrank_transport::{
    Client, Local, LocalOptions, PeerOptions, Remote, RemoteOptions, Service, server,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Echo(String);

impl Call for Echo {
    type Reply = String;
    const PATH: &'static str = "/rpc/v1/test/echo";
    const IDEMPOTENT: bool = true;
}

struct Logic;

#[async_trait]
impl Service<Echo> for Logic {
    async fn call(&self, _: Context, call: Echo) -> Result<String, CallError> {
        Ok(call.0)
    }
}

/// A role that asks its callers for certificates.
struct Role {
    address: SocketAddr,
    authority: TestAuthority,
    folder: TempDir,
}

impl Role {
    fn start(valid_for: &[&str]) -> Self {
        let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
        let files = authority.issue(folder.path(), "role", valid_for);
        let own = ServerTlsOptions {
            certificate_file: Some(files.certificate.clone()),
            key_file: Some(files.key.clone()),
        };
        let tls = ServerTls::new(&own, &peers(&authority, &folder, Some(&files))).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let options = LocalOptions { name: "test", max_in_flight: NonZeroUsize::new(8).unwrap() };
        let local = Local::start_here(Arc::new(Logic), &options);
        let app = move || {
            let served: Client<Echo> = Arc::new(local.clone());
            App::new()
                .app_data(server::body_reader(Duration::from_secs(5), BodyMemory::new(64 << 20)))
                .configure(move |config| server::route(config, served))
                .route("/readyz", web::get().to(|_: HttpRequest| async { "ready" }))
                .wrap_fn(|request, app| {
                    let shown = request.conn_data::<ShownCertificate>().is_some();
                    let answer = shown.then(|| app.call(request));
                    async move {
                        match answer {
                            Some(answer) => answer.await,
                            None => Err(actix_web::error::InternalError::from_response(
                                "",
                                HttpResponse::Forbidden().finish(),
                            )
                            .into()),
                        }
                    }
                })
        };
        let server = HttpServer { tls, ..HttpServer::default() };
        actix::spawn(async move {
            server.serve(listener, Health::new(), Shutdown::manual(), app).await.unwrap();
        });
        Self { address, authority, folder }
    }

    fn remote(&self, host: &str, tls: PeerTlsOptions) -> Result<Remote, CallError> {
        Remote::new(&RemoteOptions {
            name: "test",
            base_urls: vec![format!("https://{host}:{}", self.address.port())],
            peers: PeerOptions { tls, ..PeerOptions::default() },
            token: None,
        })
    }

    async fn ask(&self, host: &str, tls: PeerTlsOptions) -> Result<String, CallError> {
        let context = Context::background().within(Duration::from_secs(10));
        self.remote(host, tls)?.call(context, Echo("hello".to_owned())).await
    }

    fn caller(&self) -> CertificateFiles {
        self.authority.issue(self.folder.path(), "gateway", &["gateway"])
    }
}

fn peers(
    authority: &TestAuthority,
    folder: &TempDir,
    shown: Option<&CertificateFiles>,
) -> PeerTlsOptions {
    let file = |of: fn(&CertificateFiles) -> &PathBuf| shown.map(|shown| of(shown).clone());
    PeerTlsOptions {
        ca_file: Some(authority.write(folder.path(), "ca.crt")),
        certificate_file: file(|files| &files.certificate),
        key_file: file(|files| &files.key),
    }
}

#[actix::test]
async fn roles_with_certificates_of_one_authority_call_one_another() {
    let role = Role::start(&["localhost", "127.0.0.1"]);
    let tls = peers(&role.authority, &role.folder, Some(&role.caller()));
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(role.ask(host, tls.clone()).await, Ok("hello".to_owned()), "{host}");
    }
}

#[actix::test]
async fn a_certificate_for_the_configured_name_is_accepted() {
    let role = Role::start(&["localhost"]);
    let tls = peers(&role.authority, &role.folder, Some(&role.caller()));
    assert_eq!(role.ask("localhost", tls.clone()).await, Ok("hello".to_owned()));
    let refused = role.ask("127.0.0.1", tls).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(refused.message.contains("cannot be reached"), "{refused}");
}

#[actix::test]
async fn untrusted_callers_and_roles_are_refused() {
    let role = Role::start(&["localhost"]);
    let nobody = peers(&role.authority, &role.folder, None);
    let refused = role.ask("localhost", nobody).await.unwrap_err();
    assert!(refused.message.contains("peers.tls"), "{refused}");
    let (other, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let stranger = other.issue(folder.path(), "gateway", &["gateway"]);
    let shown = PeerTlsOptions {
        ca_file: Some(role.authority.write(folder.path(), "trusted.crt")),
        ..peers(&other, &folder, Some(&stranger))
    };
    let refused = role.ask("localhost", shown).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable, "{refused}");
    let trusting_another = peers(&other, &folder, Some(&stranger));
    let refused = role.ask("localhost", trusting_another).await.unwrap_err();
    assert!(refused.message.contains("cannot be reached"), "{refused}");
    let refused = role.remote("localhost", PeerTlsOptions::default()).unwrap_err();
    assert!(refused.message.contains("peers.tls.ca_file"), "{refused}");
}
