//! Authentication, scopes, limits, hosts and origins, over HTTP.

use plugrank_access::{AccessOptions, CorsOptions, Digest, KeyEntry, MetricsAccess, Scope};
use plugrank_gateway::ExperimentsOptions;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::{Server, Setup, problem};

/// A key for each scope, named after it; the key is `key-` and the name.
fn keys() -> AccessOptions {
    let entry = |scope: Scope| {
        let name = scope.to_string();
        let entry = KeyEntry::new(Digest::of_key(&format!("key-{name}")), vec![scope]);
        (name, entry)
    };
    AccessOptions { keys: Scope::ALL.into_iter().map(entry).collect(), ..AccessOptions::default() }
}

fn server(access: AccessOptions) -> Server {
    Server::start_as(Setup { access, ..Setup::default() }, |_, _| {})
}

fn with_key(request: RequestBuilder, scope: Scope) -> RequestBuilder {
    request.header("authorization", format!("Bearer key-{scope}"))
}

async fn document(server: &Server) -> Value {
    server.get("/openapi.json").await.json().await.unwrap()
}

/// Every operation of the document: method, path, the scopes of which one is needed.
fn operations(document: &Value) -> Vec<(Method, String, Vec<String>)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let scopes = operation["security"].as_array().into_iter().flatten();
            let scopes = scopes.map(|one| one["key"][0].as_str().unwrap().to_owned());
            let path = path.replace("{file}", "index.html");
            (method, path.replace(['{', '}'], "x"), scopes.collect())
        })
    });
    each.collect()
}

fn status(response: &Response) -> u16 {
    response.status().as_u16()
}

#[actix_web::test]
async fn every_route_requires_its_documented_scope() {
    let access = AccessOptions { metrics: MetricsAccess::Key, ..keys() };
    let server = server(access);
    let operations = operations(&document(&server).await);
    assert!(operations.len() >= 22, "{}", operations.len());
    for (method, path, scopes) in operations {
        let request = || server.request(method.clone(), &path);
        let answer = request().send().await.unwrap();
        if scopes.is_empty() {
            assert!(![401, 403].contains(&status(&answer)), "{method} {path} is open");
            continue;
        }
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert_eq!(challenge, "Bearer realm=\"plugrank\"");
        problem(answer, 401).await;
        let wrong = request().bearer_auth("key-nobody").send().await.unwrap();
        let challenge = wrong.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        problem(wrong, 401).await;
        for scope in Scope::ALL {
            let answer = with_key(request(), scope).send().await.unwrap();
            let may = scope == Scope::Admin || scopes.contains(&scope.to_string());
            if may {
                assert!(![401, 403].contains(&status(&answer)), "{method} {path} by {scope}");
                continue;
            }
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
            let refused = problem(answer, 403).await;
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains(&scopes.join(" or ")), "{method} {path}: {detail}");
        }
    }
    let metrics = with_key(server.request(Method::GET, "/metrics"), Scope::Metrics);
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("rejected_total{cause=\"no_key\"}"), "{metrics}");
}

#[actix_web::test]
async fn open_metrics_are_documented_as_open() {
    let server = server(keys());
    let document = document(&server).await;
    assert!(document["paths"]["/metrics"]["get"]["security"].is_null());
    assert!(!document["paths"]["/v1/rank"]["post"]["security"].is_null());
    assert_eq!(status(&server.get("/metrics").await), 200);
}

#[actix_web::test]
async fn percent_encoded_paths_need_the_same_scopes() {
    let server = server(keys());
    for (method, path) in [
        (Method::GET, "/v1/user%73/u1"),
        (Method::GET, "/%76%31/models"),
        (Method::HEAD, "/v1/users/u1"),
        (Method::GET, "/v1/experiments?x=/healthz"),
        (Method::POST, "/v1/%72ank"),
    ] {
        let answer = server.request(method.clone(), path).send().await.unwrap();
        // 401 or 404, but never an answer.
        assert!([401, 404].contains(&status(&answer)), "{method} {path}: {}", answer.status());
    }
    problem(server.get("/v1/user%73/u1").await, 401).await;
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_404_and_405_without_a_key() {
    let server = server(keys());
    problem(server.get("/v1/nothing").await, 404).await;
    let answer = server.get("/v1/rank").await;
    assert_eq!(answer.headers()["allow"], "POST");
    problem(answer, 405).await;
}

#[actix_web::test]
async fn without_keys_requests_are_unauthenticated_and_documented_so() {
    let server = Server::start();
    server.rank(&json!({"user_id": "u1"})).await;
    let document = document(&server).await;
    assert!(operations(&document).iter().all(|(.., scopes)| scopes.is_empty()));
    assert_eq!(document["components"]["securitySchemes"], Value::Null);
}

#[actix_web::test]
async fn a_caller_over_its_rate_or_quota_gets_retry_after() {
    let limited = |per_second, per_day| KeyEntry {
        per_second,
        per_day,
        ..KeyEntry::new(
            Digest::of_key(&format!("key-{per_second:?}-{per_day:?}")),
            vec![Scope::Rank],
        )
    };
    let (rate, quota) = (limited(Some(1), None), limited(None, Some(2)));
    let mut access = keys();
    access.keys.insert("slow".into(), rate);
    access.keys.insert("small".into(), quota);
    let server = server(access);
    let ask = async |key: &str| {
        let request = server.request(Method::POST, "/v1/rank").json(&json!({"user_id": "u1"}));
        request.bearer_auth(key).send().await.unwrap()
    };
    // On a very slow machine a second may pass between two requests: several are tried.
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(ask("key-Some(1)-None").await);
    }
    let refused = answers.into_iter().find(|answer| status(answer) == 429).unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(!refused.headers().contains_key("www-authenticate"));
    assert!(problem(refused, 429).await["detail"].as_str().unwrap().contains("slow"));
    assert_eq!(status(&ask("key-None-Some(2)").await), 200);
    assert_eq!(status(&ask("key-None-Some(2)").await), 200);
    let refused = ask("key-None-Some(2)").await;
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((43_000..=43_200).contains(&after), "{after}");
    let refused = problem(refused, 429).await;
    assert_eq!(refused["type"], "urn:problem-type:plugrank:quota-used-up");
    // Other keys are not affected.
    assert_eq!(status(&ask("key-rank").await), 200);
}

#[actix_web::test]
async fn a_batch_counts_towards_the_limits_as_the_requests_it_holds() {
    let mut access = keys();
    let key = KeyEntry {
        per_day: Some(10),
        ..KeyEntry::new(Digest::of_key("key-ten"), vec![Scope::Rank])
    };
    access.keys.insert("ten".into(), key);
    let server = server(access);
    let ask = async |requests: usize| {
        let body = json!({"requests": vec![json!({"user_id": "u1"}); requests]});
        let request = server.request(Method::POST, "/v1/rank/batch").json(&body);
        request.bearer_auth("key-ten").send().await.unwrap()
    };
    let never = problem(ask(11).await, 429).await;
    assert!(never["detail"].as_str().unwrap().contains("10 at once"), "{never}");
    // The refused call counted as one.
    assert_eq!(status(&ask(8).await), 200);
    let refused = ask(2).await;
    assert!(refused.headers().contains_key("retry-after"));
    let refused = problem(refused, 429).await;
    assert_eq!(refused["type"], "urn:problem-type:plugrank:quota-used-up");
    let page = server.metrics().await;
    assert!(page.contains("plugrank_rejected_total{cause=\"quota\"} 1"), "{page}");
}

#[actix_web::test]
async fn arms_are_forced_by_admin_alone() {
    let experiments = ExperimentsOptions { forced_arms: true, ..ExperimentsOptions::default() };
    let setup = Setup { experiments, access: keys(), ..Setup::default() };
    let server = Server::start_as(setup, |_, _| {});
    let ask = async |scope| {
        let request = server.request(Method::POST, "/v1/rank");
        let body = json!({"user_id": "u1", "arms": {"ranking": "ppm"}});
        with_key(request, scope).json(&body).send().await.unwrap()
    };
    problem(ask(Scope::Rank).await, 403).await;
    // Admitted, and refused by validation: there is no such layer.
    assert_eq!(problem(ask(Scope::Admin).await, 400).await["field"], "arms");
}

#[actix_web::test]
async fn unlisted_host_headers_are_refused() {
    let access =
        AccessOptions { hosts: vec!["rank.example.com".into()], ..AccessOptions::default() };
    let server = server(access);
    let ask = async |path: &str, host: &str| {
        server.request(Method::GET, path).header("host", host).send().await.unwrap()
    };
    for host in ["rank.example.com", "RANK.example.com:8443"] {
        assert_eq!(status(&ask("/v1/models", host).await), 200, "{host}");
    }
    for host in ["evil.example.com", "rank.example.com.evil", "127.0.0.1"] {
        problem(ask("/v1/models", host).await, 421).await;
    }
    assert_eq!(status(&ask("/healthz", "10.0.0.7:8080").await), 200);
}

#[actix_web::test]
async fn cross_origin_calls_are_allowed_only_for_configured_origins() {
    const SHOP: &str = "https://shop.example.com";
    let preflight = async |server: &Server, origin: &str| {
        let request = server.request(Method::OPTIONS, "/v1/rank").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let request =
            request.header("access-control-request-headers", "authorization, content-type");
        request.send().await.unwrap()
    };
    let closed = server(keys());
    assert!(!preflight(&closed, SHOP).await.headers().contains_key("access-control-allow-origin"));
    let cors = CorsOptions { origins: vec![SHOP.into()], ..CorsOptions::default() };
    let open = server(AccessOptions { cors, ..keys() });
    let answer = preflight(&open, SHOP).await;
    assert_eq!(
        (status(&answer), &answer.headers()["access-control-allow-origin"]),
        (200, &SHOP.parse().unwrap())
    );
    let other = preflight(&open, "https://evil.example.com").await;
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    // CORS headers are on refusals too, or a page could not tell them from a network error.
    let refused =
        open.request(Method::POST, "/v1/rank").header("origin", SHOP).send().await.unwrap();
    assert_eq!(refused.headers()["access-control-allow-origin"], SHOP);
    problem(refused, 401).await;
}
