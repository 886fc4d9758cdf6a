//! Models of five processes: each role loads a second bundle beside the first, and every gateway of the store
//! has the same.

use std::time::{Duration, Instant};

use plugrank_simshop::{Exchange, ShopServer, exchange};
use reqwest::Client;
use serde_json::{Value, json};

use super::models::{answer, manifest, models, request};
use crate::fleet::{Fleet, Process, peers};

/// Longest wait for a model: five processes of a debug build share the machine with other tests.
const LONG: Duration = Duration::from_secs(180);

async fn get(http: &Client, of: &Process, path: &str) -> Value {
    http.get(of.url(path)).send().await.unwrap().json().await.unwrap()
}

async fn post(http: &Client, of: &Process, path: &str, body: &Value) -> (u16, Value) {
    let reply = http.post(of.url(path)).json(body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

async fn state(http: &Client, of: &Process, version: &str) -> String {
    let list = get(http, of, "/v1/models").await;
    let models = list["models"].as_array().unwrap().iter();
    let mut model = models.filter(|model| model["version"] == version);
    model.next().map_or("none", |model| model["state"].as_str().unwrap()).to_owned()
}

async fn reaches(http: &Client, of: &Process, version: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let now = state(http, of, version).await;
        if now == wanted {
            return;
        }
        assert!(begun.elapsed() < LONG && now != "failed", "{version} is {now}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_over_five_processes_reaches_every_gateway() {
    let folder = models();
    let own = format!("models.folder = {:?}\n", folder.path());
    let fleet = Fleet::start().await;
    let http = &fleet.http;
    let embedding = fleet.start_role("embedding", &own).await;
    let near = format!("{own}{}", peers(&[&embedding]));
    let mut parts = ["retrieval", "scoring", "reranking"].map(|role| fleet.spawn(role, &near));
    for part in &parts {
        part.ready(http).await;
    }
    let all = {
        let [retrieval, scoring, reranking] = &parts;
        peers(&[&embedding, retrieval, scoring, reranking])
    };
    let gateway = fleet.start_role("gateway", &all).await;
    let other = fleet.start_role("gateway", &all).await;
    let first = manifest()["version"].as_str().unwrap().to_owned();
    assert_eq!(get(http, &gateway, "/v1/models").await["active"], json!(first));

    // Refused by the role that reads it.
    let (status, problem) = post(http, &gateway, "/v1/models", &json!({"name": "none"})).await;
    assert_eq!((status, &problem["field"]), (400, &json!("name")), "{problem}");

    // Twenty activations and rollbacks under requests; every answer is one of the two it can be.
    let plan = Exchange {
        server: ShopServer { url: gateway.url(""), key: None },
        folders: vec!["two".to_owned()],
        rate: 20.0,
        threads: 4,
        alone: Duration::from_secs(2),
        activations: 20,
        users: 8,
        whole: 0.3,
    };
    let phases = tokio::task::spawn_blocking(move || exchange(&plan)).await.unwrap().unwrap();
    let by: Vec<_> = phases.iter().map(|phase| (phase.name, phase.models.len())).collect();
    assert_eq!(by, [("alone", 1), ("loading", 1), ("exchanging", 2)], "{phases:?}");
    assert!(phases.iter().all(|phase| phase.failed + phase.mixed == 0), "{phases:?}");
    reaches(http, &other, "two", "none").await;

    // The gateways follow each other.
    let (status, reply) = post(http, &other, "/v1/models", &json!({"name": "two"})).await;
    assert_eq!(status, 202, "{reply}");
    for one in [&other, &gateway] {
        reaches(http, one, "two", "ready").await;
    }
    let body = json!({});
    let (status, reply) = post(http, &gateway, "/v1/models/two/activate", &body).await;
    assert_eq!((status, &reply["active"]), (200, &json!("two")), "{reply}");
    reaches(http, &other, "two", "active").await;
    let mut ranked = Vec::new();
    for one in [&gateway, &other] {
        let (status, reply) = post(http, one, "/v1/rank", &request(3)).await;
        assert_eq!((status, &reply["model"]), (200, &json!("two")), "{reply}");
        ranked.push(answer(&reply));
    }
    let mut named = request(3);
    named["model"] = json!(first);
    let (_, reply) = post(http, &other, "/v1/rank", &named).await;
    assert_eq!(reply["model"], json!(first), "the earlier model is still served");
    assert_ne!(answer(&reply), ranked[0]);

    // A restarted process loads the models of the gateways.
    parts[1].kill();
    parts[1].restart();
    parts[1].ready(http).await;
    let begun = Instant::now();
    for body in [request(3), named] {
        loop {
            let (status, reply) = post(http, &gateway, "/v1/rank", &body).await;
            let wanted = body.get("model").cloned().unwrap_or(json!("two"));
            if status == 200 && reply["degraded"] == json!([]) && reply["model"] == wanted {
                break;
            }
            assert!(begun.elapsed() < LONG, "{reply}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
