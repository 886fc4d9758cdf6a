//! A port that speaks TLS, over real sockets with real certificates.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, rt, web};
use plugrank_http::{HttpServer, resource};
use plugrank_runtime::{Health, Shutdown};
use plugrank_tls::{
    PeerTlsOptions, ServerTls, ServerTlsOptions, ShownCertificate, provider,
    test_certificates::{CertificateFiles, TestAuthority},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const GET: &[u8] = b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n";
/// Long enough for anything here that does not hang.
const LONG: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    authority: TestAuthority,
    files: CertificateFiles,
    folder: TempDir,
    shutdown: Shutdown,
    ended: rt::task::JoinHandle<()>,
}

impl Server {
    /// One that asks callers for certificates of its own authority.
    fn start() -> Self {
        let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
        let files = authority.issue(folder.path(), "server", &["localhost"]);
        let own = ServerTlsOptions {
            certificate_file: Some(files.certificate.clone()),
            key_file: Some(files.key.clone()),
        };
        let peers = PeerTlsOptions {
            ca_file: Some(authority.write(folder.path(), "ca.crt")),
            certificate_file: Some(files.certificate.clone()),
            key_file: Some(files.key.clone()),
        };
        let server = HttpServer {
            head_timeout: Duration::from_millis(300),
            grace: LONG,
            tls: ServerTls::new(&own, &peers).unwrap(),
            ..HttpServer::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let app = || {
            let who = |request: HttpRequest| async move {
                request.conn_data::<ShownCertificate>().map_or("nobody", |_| "known")
            };
            let echo = |body: web::Bytes| async move { HttpResponse::Ok().body(body) };
            App::new().service(resource("/who", "GET").route(web::get().to(who))).service(
                resource("/echo", "POST")
                    .app_data(web::PayloadConfig::new(8 << 20))
                    .route(web::post().to(echo)),
            )
        };
        let shutdown = Shutdown::manual();
        let until = shutdown.clone();
        let ended = rt::spawn(async move {
            server.serve(listener, Health::new(), until, app).await.unwrap();
        });
        Self { address, authority, files, folder, shutdown, ended }
    }

    /// A connection of a client that trusts `authority`, and shows a certificate or none.
    async fn connect(
        &self,
        authority: &TestAuthority,
        shown: Option<&CertificateFiles>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some(files) => {
                let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
                let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        timeout(LONG, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.request();
        timeout(LONG, self.ended).await.unwrap().unwrap();
    }
}

/// Asks, and reads the answer: its head in lower case, and its body.
async fn ask(
    stream: &mut TlsStream<TcpStream>,
    request: &[u8],
) -> std::io::Result<(String, String)> {
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Ok((head, body.to_owned()));
            }
        }
        if timeout(LONG, stream.read_buf(&mut bytes)).await.unwrap()? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[actix_web::test]
async fn several_requests_are_answered_over_one_tls_connection() {
    let server = Server::start();
    let mut stream = server.connect(&server.authority, None).await.unwrap();
    for _ in 0..3 {
        let (head, body) = ask(&mut stream, GET).await.unwrap();
        assert!(head.starts_with("http/1.1 200") && !head.contains("connection:"), "{head}");
        assert_eq!(body, "nobody");
    }
    // More than a record of TLS, and than a buffer of the server.
    let text = "0123456789abcdef".repeat(60_000);
    let length = text.len();
    let post = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{text}");
    assert_eq!(ask(&mut stream, post.as_bytes()).await.unwrap().1, text);
    assert_eq!(stream.get_ref().1.alpn_protocol(), None, "the client named none");
    server.stop().await;
    let mut rest = Vec::new();
    timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty(), "the end is said as TLS says it");
}

#[actix_web::test]
async fn only_certificates_of_the_roles_authority_identify_a_caller() {
    let server = Server::start();
    let known = server.authority.issue(server.folder.path(), "gateway", &["gateway"]);
    let mut stream = server.connect(&server.authority, Some(&known)).await.unwrap();
    assert_eq!(ask(&mut stream, GET).await.unwrap().1, "known");
    let stranger = TestAuthority::new().issue(server.folder.path(), "stranger", &["gateway"]);
    // In TLS 1.3 a client hears of the refusal when it reads.
    let refused = match server.connect(&server.authority, Some(&stranger)).await {
        Ok(mut stream) => ask(&mut stream, GET).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(refused.is_err());
    assert!(server.connect(&TestAuthority::new(), None).await.is_err(), "it trusts another");
    server.stop().await;
}

#[actix_web::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let server = Server::start();
    let mut before = server.connect(&server.authority, None).await.unwrap();
    let shown = |stream: &TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let old = shown(&before);
    let new = server.authority.issue(server.folder.path(), "new", &["localhost"]);
    // One file after the other: a certificate without its key is not used.
    fs::rename(&new.key, &server.files.key).unwrap();
    fs::rename(&new.certificate, &server.files.certificate).unwrap();
    let changed = async {
        loop {
            let stream = server.connect(&server.authority, None).await.unwrap();
            if shown(&stream) != old {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, changed).await.unwrap();
    assert_eq!(ask(&mut before, GET).await.unwrap().1, "nobody", "open connections go on");
    server.stop().await;
}

#[actix_web::test]
async fn plain_http_gets_an_error_and_an_idle_connection_none() {
    let server = Server::start();
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(GET).await.unwrap();
    let mut told = Vec::new();
    timeout(LONG, plain.read_to_end(&mut told)).await.unwrap().unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("https://"), "{told}");
    for begun in [&b""[..], b"\x16\x03\x01"] {
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        silent.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(LONG, silent.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }
    let garbage = [&b"\x16\x03\x01\xff\xff"[..], &[0xff; 400]].concat();
    let mut wrong = TcpStream::connect(server.address).await.unwrap();
    wrong.write_all(&garbage).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(LONG, wrong.read_to_end(&mut rest)).await.unwrap();
    let mut fine = server.connect(&server.authority, None).await.unwrap();
    assert_eq!(ask(&mut fine, GET).await.unwrap().1, "nobody");
    // A connection without a handshake does not delay the stop.
    let _idle = TcpStream::connect(server.address).await.unwrap();
    server.stop().await;
}
