//! Graphs served, and run remotely, over the Open Inference Protocol.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Site, plugrank, repository, settings, stderr};
use crate::fleet::{ModelServer, open_inference_python};

/// Few shapes, so that a slow server is warm soon.
const FEW_SHAPES: &str =
    "scoring.candidate_buckets = [32, 128]\nscoring.user_buckets = [1, 2]\nretrieval.limit = 100\n";

#[tokio::test(flavor = "multi_thread")]
async fn tritons_client_gets_the_outputs_of_the_graphs() {
    let site = Site::start_with("open_inference.max_body_bytes = 8388608\n").await;
    let url = site.url("");
    let asked = Command::new(open_inference_python())
        .arg(repository("tests/open_inference/triton_client.py"))
        .arg(url.trim_start_matches("http://"))
        .arg(repository("models/simshop/bundle"))
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&asked.stdout));
    assert!(asked.status.success(), "{}", stderr(&asked));
    // They ran through the batcher of ordinary scoring.
    let entries = metric(&site, "plugrank_batch_entries_sum{role=\"scoring\"}").await;
    assert!(entries >= 100.0, "{entries}");
    errors_have_the_protocols_form(&site).await;
}

async fn errors_have_the_protocols_form(site: &Site) {
    let infer = "/v2/models/idrec/infer";
    let said = |reply: &Value, says: &str| {
        let error = reply["error"].as_str().unwrap_or_else(|| panic!("{reply}"));
        assert!(error.contains(says), "{error}");
        assert_eq!(reply.as_object().unwrap().len(), 1, "{reply}");
    };
    let (status, reply) = site.get("/v2/nothing").await;
    assert_eq!(status, 404);
    said(&reply, "/v2/nothing");
    let (status, reply) = site.get(infer).await;
    assert_eq!(status, 405);
    said(&reply, "POST");
    for (body, status, says) in [
        (json!({"inputs": [], "more": "x".repeat(8 << 20)}), 413, "8388608"),
        (json!({"input": []}), 400, "unknown field `input`"),
        (json!({"inputs": [{"name": "recency_bucket"}]}), 400, "inputs[0]: missing field `shape`"),
        (json!({"inputs": []}), 400, "input `history_item_id` is missing"),
        (json!({"inputs": [], "parameters": {"timeout": "1"}}), 400, "parameters.timeout"),
    ] {
        let (found, reply) = site.post_json(infer, &body).await;
        assert_eq!(found, status, "{reply}");
        said(&reply, says);
    }
    // A copy of an output for each time it is asked for would be a large answer to a small request.
    let twice = json!({"inputs": [], "outputs": [{"name": "logit"}, {"name": "logit"}]});
    let (status, reply) = site.post_json(infer, &twice).await;
    assert_eq!(status, 400);
    said(&reply, "output `logit` is asked for twice");
    let bomb = include_bytes!("../../shared/body/tests/spaces.gz");
    let zipped = |encoding: &str| {
        site.post(infer).header("content-encoding", encoding).body(&bomb[..]).send()
    };
    let unknown = zipped("br").await.unwrap();
    assert_eq!(unknown.status().as_u16(), 415);
    said(&unknown.json().await.unwrap(), "gzip, deflate or identity");
    let read = zipped("gzip").await.unwrap();
    assert_eq!(read.status().as_u16(), 400, "a mebibyte of spaces is no request");
    let broken = site.post(infer).body("{").send().await.unwrap();
    assert_eq!(broken.status().as_u16(), 400);
    let header = site.post(infer).header("inference-header-content-length", "9").body("{}");
    let header = header.send().await.unwrap();
    assert_eq!(header.status().as_u16(), 400);
    said(&header.json().await.unwrap(), "Inference-Header-Content-Length");
    let (_, openapi) = site.get("/openapi.json").await;
    assert!(openapi["paths"]["/v2/models/{name}/infer"]["post"].is_object(), "{openapi}");
    assert!(openapi["paths"]["/v1/rank"]["post"].is_object(), "{openapi}");
    // The API beside it keeps its own form.
    let (status, problem) = site.get("/v3").await;
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_graphs_give_the_answers_of_local_sessions() {
    let graph = repository("models/simshop/bundle/unified.onnx");
    let folder = TempDir::new().unwrap();
    let other_graph = other_weights(&folder);
    let (mut mlserver, mut other) = (ModelServer::spawn(&graph), ModelServer::spawn(&other_graph));
    let here = Site::start_with(FEW_SHAPES).await;
    mlserver.ready(&here.http).await;
    let plugrank = format!("scoring.open_inference.url = {:?}\n", here.url(""));
    for (name, server) in [("MLServer, JSON", mlserver.settings()), ("Plugrank, binary", plugrank)]
    {
        let settings = format!("{FEW_SHAPES}open_inference.serve = false\n{server}");
        let there = Site::start_with(&settings).await;
        let worst = largest_difference(&here, &there).await;
        let asked = metric(&there, "plugrank_peer_requests_total{role=\"open_inference\"").await;
        println!("{name}: largest difference {worst:.1e}, {asked} requests");
        assert!(worst <= 1e-5, "{worst}");
        assert!(asked >= 40.0, "{asked}");
        let elsewhere = metric(
            &there,
            "plugrank_graph_provider_info{role=\"scoring\",provider=\"open_inference\"}",
        );
        assert!(elsewhere.await > 0.0);
        let (status, problem) = there.get("/v2/health/ready").await;
        assert_eq!((status, &problem["status"]), (404, &json!(404)), "it is not served there");
    }

    // A model that is not the bundle's is refused with what differs.
    let url = format!("scoring.open_inference.url = {:?}\n", here.url(""));
    let said = refused(&format!("{url}scoring.open_inference.model = \"idrec\"\n"));
    assert!(said.contains("model `idrec`"), "{said}");
    assert!(said.contains("it has no input `user_ppm_keys`"), "{said}");
    let said = refused(&format!("{url}scoring.open_inference.model = \"a b\"\n"));
    assert!(said.contains("scoring.open_inference.model"), "{said}");
    other.ready(&here.http).await;
    let said = refused(&other.settings());
    assert!(said.contains("of the bundle's reference rows, row"), "{said}");
    assert!(said.contains("deploy the graph `unified` of bundle simshop"), "{said}");
}

/// A request of one user and two candidates: zeros, and what is said of some inputs.
async fn zeros_but(site: &Site, model: &str, said: &[(&str, i64)]) -> Value {
    let (status, described) = site.get(&format!("/v2/models/{model}")).await;
    assert_eq!(status, 200, "{described}");
    let input = |input: &Value| {
        let dims = input["shape"].as_array().unwrap().iter().enumerate();
        let free = |place: usize| if place == 1 { 2 } else { 1 };
        let length = |(place, dim): (usize, &Value)| match dim.as_i64().unwrap() {
            -1 => free(place),
            fixed => usize::try_from(fixed).unwrap(),
        };
        let shape: Vec<usize> = dims.map(length).collect();
        let name = input["name"].as_str().unwrap();
        let value = said.iter().find(|(of, _)| *of == name).map_or(0, |(_, value)| *value);
        let data = vec![value; shape.iter().product()];
        json!({"name": name, "datatype": input["datatype"], "shape": shape, "data": data})
    };
    let inputs: Vec<Value> = described["inputs"].as_array().unwrap().iter().map(input).collect();
    json!({"inputs": inputs})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_out_of_range_fails_its_own_request_only() {
    const RANKED: usize = 20;
    let site = Site::start_with(FEW_SHAPES).await;
    let asked = [
        ("unified", "recency_bucket", 9_999_999),
        ("unified", "recency_bucket", -1),
        ("idrec", "candidate_item_id", 1_000_000),
        ("idrec", "user_user_id", i64::MIN),
        ("idrec", "history_label", 2),
        ("idrec", "history_age_bucket", 32),
    ];
    let mut bodies = Vec::new();
    for (model, input, value) in asked {
        let path = format!("/v2/models/{model}/infer");
        let (status, reply) = site.post_json(&path, &zeros_but(&site, model, &[]).await).await;
        assert_eq!(status, 200, "{reply}");
        bodies.push((path, input, zeros_but(&site, model, &[(input, value)]).await));
    }
    let sending = async {
        for (path, input, body) in bodies.iter().cycle().take(60) {
            let (status, reply) = site.post_json(path, body).await;
            let error = reply["error"].as_str().unwrap_or_default();
            assert_eq!(status, 400, "{reply}");
            assert!(error.contains(input) && error.contains("must be 0 to"), "{error}");
        }
    };
    let answered = AtomicUsize::new(0);
    let ranking = |from: usize| {
        let (site, answered) = (&site, &answered);
        async move {
            for user in from..from + RANKED {
                let body = json!({"user_id": format!("u{user}"), "k": 10, "budget_ms": 20_000});
                let (status, reply) = site.post_json("/v1/rank", &body).await;
                // On a busy machine it may be late, but its batch must not fail.
                assert!(status == 200 || status == 503, "{reply}");
                let degraded = reply["degraded"].as_array().into_iter().flatten();
                let causes: Vec<&Value> = degraded.map(|of| &of["cause"]).collect();
                assert!(!causes.contains(&&json!("failed")), "{reply}");
                answered.fetch_add(usize::from(status == 200), Ordering::Relaxed);
            }
        }
    };
    tokio::join!(sending, ranking(1), ranking(101));
    let answered = answered.into_inner();
    assert!(answered > RANKED, "{answered} of {} were ranked", 2 * RANKED);
    let failed = metric(&site, "plugrank_batch_failed_total{role=\"scoring\"").await;
    assert!(failed.abs() < 0.5, "{failed} batches failed");
}

/// The value of a metric with one line.
async fn metric(site: &Site, name: &str) -> f64 {
    let metrics = site.http.get(site.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().last());
    value.unwrap_or_else(|| panic!("no {name}: {metrics}")).parse().unwrap()
}

/// Ranks the same candidates for many users at two sites: the largest difference of a click
/// probability.
async fn largest_difference(one: &Site, other: &Site) -> f64 {
    let mut worst: f64 = 0.0;
    for user in 0..40 {
        let candidates: Vec<String> =
            (1..=60).map(|item| format!("i{}", (user * 13 + item * 17) % 1500 + 1)).collect();
        let user = if user % 8 == 0 { format!("stranger-{user}") } else { format!("u{user}") };
        let moment = 4_000_000_000_000_i64;
        let body = json!({"user_id": user, "k": 60, "candidates": candidates, "budget_ms": 20_000, "context": {"timestamp": moment}});
        let (here, there) = (ctr(one, &body).await, ctr(other, &body).await);
        assert_eq!(here.len(), there.len());
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(here.0, there.0);
            worst = worst.max((here.1 - there.1).abs());
        }
    }
    worst
}

/// Click probabilities of an undegraded answer, by item.
async fn ctr(site: &Site, body: &Value) -> Vec<(String, f64)> {
    let reply = site.rank(body.clone()).await;
    assert_eq!(reply["degraded"], json!([]), "{reply}");
    let pair = |item: &Value| {
        (item["item_id"].as_str().unwrap().to_owned(), item["ctr"].as_f64().unwrap())
    };
    let mut ctr: Vec<_> = reply["items"].as_array().unwrap().iter().map(pair).collect();
    ctr.sort_by(|a, b| a.0.cmp(&b.0));
    ctr
}

/// A graph with the inputs and outputs of the shipped one and other weights.
fn other_weights(folder: &TempDir) -> PathBuf {
    let mut graph = fs::read(repository("models/simshop/bundle/unified.onnx")).unwrap();
    let middle = graph.len() / 2;
    for bytes in graph[middle..middle + 2048].chunks_exact_mut(4) {
        bytes.copy_from_slice(&0.25_f32.to_le_bytes());
    }
    let path = folder.path().join("other.onnx");
    fs::write(&path, graph).unwrap();
    path
}

/// What a server that cannot start says.
fn refused(more: &str) -> String {
    let folder = TempDir::new().unwrap();
    let config = settings(folder.path(), 0, more);
    let ran = plugrank(&["serve", "--config"]).arg(config).output().unwrap();
    assert!(!ran.status.success());
    stderr(&ran)
}
