//! TLS: a server with a certificate, and roles with mutual TLS.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_tls::test_certificates::{CertificateFiles, TestAuthority};
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::site::{loaded, plugrank, settings, stderr};
use crate::fleet::{Fleet, free_port};

/// How long a server may take to be ready.
const LONG: Duration = Duration::from_secs(120);

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own(files: &CertificateFiles) -> String {
    let CertificateFiles { certificate, key } = files;
    format!("server.tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}\n")
}

fn peers(ca: &Path, files: &CertificateFiles) -> String {
    let CertificateFiles { certificate, key } = files;
    format!(
        "peers.tls = {{ ca_file = {ca:?}, certificate_file = {certificate:?}, key_file = {key:?} }}\n"
    )
}

/// A ranking by the program, over the network.
fn rank(url: &str, ca: Option<&Path>) -> Output {
    let mut command = plugrank(&["rank", "u1", "-k", "3", "--url", url]);
    if let Some(ca) = ca {
        command.arg("--ca-file").arg(ca);
    }
    command.output().expect("plugrank can be started")
}

/// The same once the server is ready.
fn ranked(url: &str, ca: &Path) -> Output {
    let deadline = Instant::now() + LONG;
    loop {
        let answer = rank(url, Some(ca));
        if answer.status.success() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not ready in time: {}", stderr(&answer));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A client that trusts an authority, and shows nothing.
fn agent(authority: &TestAuthority) -> Agent {
    let roots: Vec<Certificate<'static>> = parse_pem(authority.pem().as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(plugrank_tls::provider());
    Agent::config_builder().http_status_as_error(false).tls_config(tls.build()).build().into()
}

/// Waits until a process says that it is ready.
fn ready(agent: &Agent, port: u16) {
    let deadline = Instant::now() + LONG;
    let url = format!("https://localhost:{port}/readyz");
    while agent.get(&url).call().map_or(0, |answer| answer.status().as_u16()) != 200 {
        assert!(Instant::now() < deadline, "{url} was not ready in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_serves_tls() {
    let (authority, folder) = (TestAuthority::new(), TempDir::new().unwrap());
    let ca = authority.write(folder.path(), "ca.crt");
    let files = authority.issue(folder.path(), "server", &["localhost"]);
    fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
    let (port, admin) = (free_port(), free_port());
    let more = format!("{}admin.bind = \"127.0.0.1:{admin}\"\nadmin.tls = true", own(&files));
    let config = settings(folder.path(), port, &more);
    let mut serve = plugrank(&["serve", "--config"]);
    let _server = Running(serve.arg(config).stdout(Stdio::null()).spawn().unwrap());
    let url = format!("https://localhost:{port}");
    let answer = ranked(&url, &ca);
    assert!(String::from_utf8_lossy(&answer.stdout).contains("full"), "{answer:?}");
    // A server of an unknown authority is not called, and plain HTTP gets an error.
    let unknown = rank(&url, None);
    assert!(!unknown.status.success());
    let plain = rank(&format!("http://localhost:{port}"), None);
    assert!(stderr(&plain).contains("this port speaks TLS; use https://"), "{}", stderr(&plain));
    let pages = format!("https://localhost:{admin}/debug/requests.json");
    assert_eq!(agent(&authority).get(pages).call().unwrap().status(), 200);
    let other = agent(&TestAuthority::new());
    assert!(other.get(format!("{url}/healthz")).call().is_err());
}

#[tokio::test]
async fn five_roles_authenticate_by_certificates() {
    let fleet = Fleet::start().await;
    let (authority, folder) = (TestAuthority::new(), TempDir::new().unwrap());
    let ca = authority.write(folder.path(), "ca.crt");
    let files = authority.issue(folder.path(), "roles", &["localhost"]);
    let trusting = peers(&ca, &files);
    let secured = format!("{trusting}{}", own(&files));
    let address =
        |role: &str, port: u16| format!("peers.{role}_url = \"https://localhost:{port}\"\n");
    let agent = agent(&authority);
    let embedding = fleet.spawn("embedding", &secured);
    ready(&agent, embedding.port);
    let near = format!("{secured}{}", address("embedding", embedding.port));
    let parts = ["retrieval", "scoring", "reranking"].map(|role| fleet.spawn(role, &near));
    parts.iter().for_each(|part| ready(&agent, part.port));
    let all: String = parts.iter().map(|part| address(part.role, part.port)).collect();
    let all = format!("{all}{}", address("embedding", embedding.port));
    // Its own port is asked with another certificate, or none; here the same.
    let gateway = fleet.spawn("gateway", &format!("{secured}{all}"));
    let answer = ranked(&format!("https://localhost:{}", gateway.port), &ca);
    assert!(String::from_utf8_lossy(&answer.stdout).contains("full"), "{answer:?}");
    // Probes need no certificate; calls do.
    for role in [&embedding, &parts[0], &parts[1], &parts[2]] {
        let url = |path: &str| format!("https://localhost:{}{path}", role.port);
        assert_eq!(agent.get(url("/readyz")).call().unwrap().status(), 200);
        let call = agent.post(url("/rpc/v1/scoring/score")).send(&b"x"[..]);
        assert_eq!(call.unwrap().status(), 403, "{}", role.role);
    }
    // A gateway without a certificate is refused by the roles.
    let none = format!("peers.tls.ca_file = {ca:?}\nserver.tls = {{}}\n{all}");
    let stranger = fleet.spawn("gateway", &none);
    stranger.ready(&fleet.http).await;
    let refused = rank(&stranger.url(""), None);
    assert!(!refused.status.success(), "{refused:?}");
}

#[test]
fn unusable_certificates_are_named_at_start() {
    let (authority, folder) = (TestAuthority::new(), TempDir::new().unwrap());
    let one = authority.issue(folder.path(), "one", &["localhost"]);
    let other = authority.issue(folder.path(), "other", &["localhost"]);
    let mixed = CertificateFiles { key: other.key, ..one.clone() };
    let missing = CertificateFiles { key: PathBuf::from("/nowhere/tls.key"), ..one.clone() };
    let half = format!("server.tls.certificate_file = {:?}", one.certificate);
    let ca = authority.write(folder.path(), "ca.crt");
    for (more, role, named) in [
        (own(&mixed), "all", "tls.certificate_file) with "),
        (own(&missing), "all", "/nowhere/tls.key (server.tls.key_file)"),
        (half, "all", "server.tls.key_file"),
        ("admin.tls = true\nadmin.bind = \"127.0.0.1:0\"".to_owned(), "all", "server.tls"),
        ("peers.scoring_url = \"https://scoring\"".to_owned(), "all", "peers.tls.ca_file"),
        (peers(&ca, &one), "scoring", "server.tls"),
    ] {
        let config = settings(folder.path(), 0, &more);
        let output = plugrank(&["serve", "--role", role, "--config"]).arg(config).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{more}: {}", stderr(&output));
        assert!(stderr(&output).contains(named), "{more}: {}", stderr(&output));
    }
}
