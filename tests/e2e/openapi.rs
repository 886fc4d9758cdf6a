//! The examples of `/openapi.json`: what `/docs` sends at the first click.

use reqwest::Method;
use serde_json::Value;

use super::site::Site;

/// A call that the document shows.
struct Shown {
    method: Method,
    path: String,
    body: Option<Value>,
    /// Of the body.
    media_type: &'static str,
}

/// Media types of bodies: a document, or one in each line.
const BODIES: [&str; 2] = ["application/json", "application/x-ndjson"];

fn shown(document: &Value) -> Vec<Shown> {
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let mut path = path.clone();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let hole = format!("{{{}}}", parameter["name"].as_str().unwrap());
                let example = parameter["example"].as_str().unwrap_or_default();
                if path.contains(&hole) {
                    path = path.replace(&hole, example);
                } else if parameter["required"] == true {
                    let mark = if path.contains('?') { '&' } else { '?' };
                    path = format!("{path}{mark}{}={example}", parameter["name"].as_str().unwrap());
                }
            }
            let content = &operation["requestBody"]["content"];
            let media_type = BODIES.into_iter().find(|kind| content[kind].is_object());
            let media_type = media_type.unwrap_or(BODIES[0]);
            let one = content[media_type].get("example");
            let several = content[media_type]["examples"].as_object();
            let several = several.into_iter().flat_map(|all| all.values().map(|one| &one["value"]));
            let mut bodies: Vec<_> = one.into_iter().chain(several).cloned().map(Some).collect();
            if bodies.is_empty() {
                bodies.push(None);
            }
            calls.extend(bodies.into_iter().map(|body| {
                let (method, path) = (method.clone(), path.clone());
                Shown { method, path, body, media_type }
            }));
        }
    }
    // Objects are written before they are read, and read before they are deleted.
    calls.sort_by_key(|call| match call.method {
        Method::PUT => 0,
        Method::DELETE => 2,
        _ => 1,
    });
    calls
}

#[tokio::test]
async fn every_example_gets_an_answer() {
    let site = Site::start().await;
    let (_, document) = site.get("/openapi.json").await;
    let calls = shown(&document);
    for Shown { method, path, body, media_type } in &calls {
        // The Open Inference Protocol, and calls that need a folder of models, are left out.
        if path.starts_with("/v2") || path.starts_with("/v1/models") && *method != Method::GET {
            continue;
        }
        let mut request = site.http.request(method.clone(), site.url(path));
        if let Some(body) = body {
            request = request.header("content-type", *media_type).body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path} {body:?} -> {status} {text}");
        if path == "/v1/rank" {
            let reply: Value = serde_json::from_str(&text).unwrap();
            assert!(!reply["items"].as_array().unwrap().is_empty(), "{body:?} -> {reply}");
        }
    }
    let rankings = calls.iter().filter(|call| call.path == "/v1/rank").count();
    assert_eq!(rankings, 4);
}

#[tokio::test]
async fn a_ranking_of_unknown_candidates_has_a_note() {
    let site = Site::start().await;
    let ask = serde_json::json!({"user_id": "u1", "candidates": ["no", "such", "items"]});
    let reply = site.rank(ask).await;
    assert_eq!(reply["items"], serde_json::json!([]));
    let note = reply["note"].as_str().unwrap();
    assert!(note.starts_with("none of the 3 candidates is in the catalog"), "{note}");
}
