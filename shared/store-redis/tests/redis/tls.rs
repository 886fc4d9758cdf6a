//! TLS with a test certificate authority, and an ACL user with the fewest permissions.

use std::{fs, path::Path, time::Duration};

use plugrank_contract::{EventType, HistoryLimits};
use plugrank_store::{
    Store,
    changes::Next,
    contract_tests::{
        fixtures::{event, ids, new_item, user},
        run,
    },
};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::server::RedisServer;

/// What the user is allowed: as docs/redis.md says.
const RULES: &str = "app on >s3cret resetkeys ~plugrank:* resetchannels -@all +@read +@write \
                     +@transaction +@scripting +@connection +wait +cluster|slots";

/// Writes `ca.pem`, and `server.pem` and `server.key` signed by it, valid for 127.0.0.1.
fn certificates(folder: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("ca.pem"), ca_certificate.pem()).unwrap();
    fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

fn secured(folder: &Path) -> RedisServer {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (ca, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
    // As a file, for a user's rules are several words.
    let config = file("redis.conf");
    fs::write(&config, format!("user default off\nuser {RULES}\n")).unwrap();
    RedisServer::start_with(&[
        &config,
        "--port",
        "0",
        "--tls-port",
        "{port}",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ])
}

#[test]
fn tls_and_an_acl_user() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let server = secured(folder.path());
    let connect = async |url: &str, password: &str, ca: Option<&str>| {
        let servers = RedisConnection {
            username: Some("app".into()),
            password: Some(password.into()),
            ca_file: ca.map(|name| folder.path().join(name)),
            ..RedisConnection::single(url)
        };
        RedisStore::connect(&servers, RedisOptions::default()).await
    };
    let secure = format!("rediss://{}", server.address());
    run(async {
        let store = connect(&secure, "s3cret", Some("ca.pem")).await.unwrap();
        // One of everything that asks for a permission of its own.
        store.put_items(vec![new_item("a")]).await.unwrap();
        store.put_users(vec![user("u")]).await.unwrap();
        store.append_events(vec![event("1", EventType::click())]).await.unwrap();
        assert!(store.items(&ids(&["a"])).await.unwrap()[0].is_some());
        assert_eq!(store.item_stats(&ids(&["i"])).await.unwrap()[0].clicks, 1);
        assert_eq!(store.scan_items(None, 10).await.unwrap().len(), 1);
        store.ping().await.unwrap();
        store.user_view(&"u".into(), i64::MAX, HistoryLimits::default()).await.unwrap();
        let log = store.changes().unwrap();
        let end = log.end().await.unwrap();
        log.wait(&end, Duration::from_millis(1)).await.unwrap();
        assert_eq!(log.after(&end).await.unwrap(), Next::Nothing);

        let refused = async |url: &str, password: &str, ca: Option<&str>| {
            connect(url, password, ca).await.unwrap_err().to_string()
        };
        let error = refused(&secure, "wrong", Some("ca.pem")).await;
        assert!(error.contains("WRONGPASS") && !error.contains("wrong"), "{error}");
        // A certificate of an unknown authority.
        let error = refused(&secure, "s3cret", None).await;
        assert!(error.contains("certificate"), "{error}");
        let error = refused(&secure, "s3cret", Some("none.pem")).await;
        assert!(error.contains("none.pem"), "{error}");
        let error = refused(&secure, "s3cret", Some("server.key")).await;
        assert!(error.contains("server.key") && error.contains("no certificate"), "{error}");
        let error = refused(&server.url(), "s3cret", Some("ca.pem")).await;
        assert!(error.contains("rediss://"), "{error}");
    });
}
