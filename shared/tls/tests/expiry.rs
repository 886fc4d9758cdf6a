//! The metric of certificate expiry.

use std::{fs, time::Duration};

use plugrank_runtime::Metrics;
use plugrank_tls::{
    CertificateExpiry, PeerTlsOptions, ServerTlsOptions, test_certificates::TestAuthority,
};

/// The expiry of a file on a metrics page, in seconds.
fn told(page: &str, file: &str) -> Option<i64> {
    let name = format!("plugrank_certificate_expiry_timestamp_seconds{{file=\"{file}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

#[tokio::test]
async fn the_expiry_of_each_first_certificate_is_exported_and_updated() {
    let (authority, folder) = (TestAuthority::new(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let own = authority.issue_until(folder, "server", &["localhost"], (2031, 2, 3));
    let role = authority.issue_until(folder, "role", &["localhost"], (2030, 1, 1));
    let server = ServerTlsOptions {
        certificate_file: Some(own.certificate.clone()),
        key_file: Some(own.key.clone()),
    };
    let peers = PeerTlsOptions {
        ca_file: Some(authority.write(folder, "ca.crt")),
        certificate_file: Some(role.certificate.clone()),
        key_file: Some(role.key.clone()),
    };
    // The intermediate after the server's certificate expires before it.
    let chain = [&own.certificate, &role.certificate].map(|file| fs::read_to_string(file).unwrap());
    fs::write(&own.certificate, chain.concat()).unwrap();
    let metrics = Metrics::new();
    CertificateExpiry::watch(&server, &peers).unwrap().register(&metrics);
    let page = metrics.encode().unwrap();
    // date -u -d 2030-01-01 +%s
    assert_eq!(told(&page, "server.tls.certificate_file"), Some(1_893_456_000), "{page}");
    assert_eq!(told(&page, "peers.tls.certificate_file"), Some(1_893_456_000), "{page}");
    assert!(told(&page, "peers.tls.ca_file").unwrap() > 1_893_456_000, "{page}");

    // Renewed: within a second or two.
    authority.issue_until(folder, "role", &["localhost"], (2040, 1, 1));
    let renewed = async {
        while told(&metrics.encode().unwrap(), "peers.tls.certificate_file") != Some(2_208_988_800)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), renewed).await.unwrap();
}

#[tokio::test]
async fn without_certificates_no_expiry_is_exported() {
    let metrics = Metrics::new();
    let (server, peers) = (ServerTlsOptions::default(), PeerTlsOptions::default());
    CertificateExpiry::watch(&server, &peers).unwrap().register(&metrics);
    assert!(!metrics.encode().unwrap().contains("certificate_expiry"));
}
