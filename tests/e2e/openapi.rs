//! The examples of `/openapi.json`: what `/docs` sends at the first click.

use reqwest::Method;
use serde_json::Value;

use super::site::Site;

/// A call that the document shows.
struct Shown {
    method: Method,
    path: String,
    body: Option<Value>,
}

fn shown(document: &Value) -> Vec<Shown> {
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let mut path = path.clone();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let hole = format!("{{{}}}", parameter["name"].as_str().unwrap());
                if path.contains(&hole) {
                    path = path.replace(&hole, parameter["example"].as_str().unwrap_or_default());
                }
            }
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            match examples.as_object() {
                None => calls.push(Shown { method, path, body: None }),
                Some(examples) => calls.extend(examples.values().map(|example| Shown {
                    method: method.clone(),
                    path: path.clone(),
                    body: Some(example["value"].clone()),
                })),
            }
        }
    }
    // A thing is written before it is read, and read before it is taken away.
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
    for Shown { method, path, body } in &calls {
        // Another protocol; and what needs a folder of models, which the demo has not.
        if path.starts_with("/v2") || path.starts_with("/v1/models") && *method != Method::GET {
            continue;
        }
        let mut request = site.http.request(method.clone(), site.url(path));
        if let Some(body) = body {
            request = request.json(body);
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
async fn a_ranking_of_unknown_candidates_says_so() {
    let site = Site::start().await;
    let ask = serde_json::json!({"user_id": "u1", "candidates": ["no", "such", "items"]});
    let reply = site.rank(ask).await;
    assert_eq!(reply["items"], serde_json::json!([]));
    let note = reply["note"].as_str().unwrap();
    assert!(note.starts_with("none of the 3 candidates is in the catalog"), "{note}");
}
