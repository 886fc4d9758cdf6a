//! Two models in one process: a second bundle is loaded, activated and removed under requests.

use std::{
    collections::{HashMap, HashSet},
    fs,
    time::{Duration, Instant},
};

use futures::future::join_all;
use plugrank_simshop::{Exchange, ShopServer, exchange};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    bundle_copy::{copy, list},
    site::{Site, ids, repository},
};

/// The shipped bundle's manifest.
pub(super) fn manifest() -> Value {
    let path = repository("models/simshop/bundle/manifest.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A folder of models with `two`: the shipped bundle under another version and calibration, so that its
/// probabilities differ.
pub(super) fn models() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (from, to) = (repository("models/simshop/bundle"), folder.path().join("two"));
    copy(&from, &to);
    let mut manifest = manifest();
    manifest["version"] = json!("two");
    manifest["calibration"]["unified"]["click"]["b"] = json!(0.5);
    fs::write(to.join("manifest.json"), manifest.to_string()).unwrap();
    folder
}

async fn state(site: &Site, version: &str) -> String {
    let (status, list) = site.get("/v1/models").await;
    assert_eq!(status, 200, "{list}");
    let models = list["models"].as_array().unwrap();
    let model = models.iter().find(|model| model["version"] == version);
    model.map_or("none", |model| model["state"].as_str().unwrap()).to_owned()
}

async fn load(site: &Site) {
    let (status, reply) = site.post_json("/v1/models", &json!({"name": "two"})).await;
    assert_eq!(status, 202, "{reply}");
    let deadline = Instant::now() + Duration::from_secs(120);
    while state(site, "two").await == "loading" {
        assert!(Instant::now() < deadline, "the model was not loaded in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state(site, "two").await, "ready");
}

async fn activate(site: &Site, version: &str) {
    let (status, reply) =
        site.post_json(&format!("/v1/models/{version}/activate"), &json!({})).await;
    assert_eq!((status, &reply["active"]), (200, &json!(version)), "{reply}");
}

/// A request with a fixed time and fixed candidates, so that a model has one answer.
pub(super) fn request(user: usize) -> Value {
    let candidates: Vec<String> = (1..=40).map(|item| format!("i{item}")).collect();
    let context = json!({"timestamp": 1_900_000_000_000_i64});
    json!({"user_id": format!("u{user}"), "k": 10, "candidates": candidates, "context": context})
}

/// Items with their probabilities, by which an answer identifies its model.
pub(super) fn answer(reply: &Value) -> String {
    let items = reply["items"].as_array().unwrap();
    let item_and_ctr = |item: &Value| format!("{}={}", item["item_id"], item["ctr"]);
    items.iter().map(item_and_ctr).collect::<Vec<_>>().join(" ")
}

fn threads(site: &Site) -> usize {
    fs::read_dir(format!("/proc/{}/task", site.pid())).unwrap().count()
}

#[tokio::test]
async fn activation_under_load_never_mixes_two_models() {
    const USERS: usize = 8;
    let folder = models();
    let site = Site::start_with(&format!("models.folder = {:?}", folder.path())).await;
    let first = manifest()["version"].as_str().unwrap().to_owned();
    let mut whole: HashMap<(String, usize), String> = HashMap::new();
    load(&site).await;
    for version in [first.as_str(), "two"] {
        activate(&site, version).await;
        for user in 1..=USERS {
            let reply = site.rank(request(user)).await;
            assert_eq!(reply["model"], version);
            whole.insert((version.to_owned(), user), answer(&reply));
        }
    }
    assert!(
        (1..=USERS)
            .all(|user| { whole[&(first.clone(), user)] != whole[&("two".to_owned(), user)] })
    );
    let exchanging = async {
        for round in 0..20 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            activate(&site, if round % 2 == 0 { &first } else { "two" }).await;
        }
    };
    let asking = (1..=USERS).map(|user| {
        let (site, whole) = (&site, &whole);
        async move {
            let (begun, mut served) = (Instant::now(), HashSet::new());
            while begun.elapsed() < Duration::from_secs(2) {
                let reply = site.rank(request(user)).await;
                let version = reply["model"].as_str().unwrap().to_owned();
                assert_eq!(answer(&reply), whole[&(version.clone(), user)], "{reply}");
                assert_eq!(reply["rung"], "full", "{reply}");
                served.insert(version);
            }
            served
        }
    });
    let (served, ()) = tokio::join!(join_all(asking), exchanging);
    assert!(served.iter().any(|served| served.len() == 2), "both models answered");
}

#[tokio::test]
async fn a_removed_model_ends_its_threads_and_the_other_sees_new_items() {
    let folder = models();
    let site = Site::start_with(&format!("models.folder = {:?}", folder.path())).await;
    let first = manifest()["version"].as_str().unwrap().to_owned();
    load(&site).await;
    let served = || async {
        let (status, graph) = site.get("/v2/models/unified").await;
        assert_eq!(status, 200, "{graph}");
        graph["versions"].clone()
    };
    assert_eq!(served().await, json!([first]));
    let item = json!({"title": "Brass desk lamp", "text": "Warm light", "categories": ["lamps"]});
    let put = site.http.put(site.url("/v1/items/new-lamp")).json(&item).send().await.unwrap();
    assert_eq!(put.status(), 201);
    let only = json!({"user_id": "u1", "k": 1, "candidates": ["new-lamp"]});
    activate(&site, "two").await;
    assert_eq!(served().await, json!(["two"]), "the other protocol serves what is active");
    let reply = site.rank(only.clone()).await;
    assert_eq!(ids(reply["items"].as_array().unwrap()), ["new-lamp"], "{reply}");
    assert_eq!((&reply["model"], &reply["coverage"]["missing"]), (&json!("two"), &json!(0)));
    activate(&site, &first).await;
    let with_both = threads(&site);
    let gone = site.http.delete(site.url("/v1/models/two")).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let deadline = Instant::now() + Duration::from_secs(20);
    while threads(&site) + 4 > with_both {
        assert!(Instant::now() < deadline, "{} of {with_both} threads are left", threads(&site));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    site.rank(only).await;
    load(&site).await;
}

#[tokio::test]
async fn a_bundle_that_is_refused_changes_nothing() {
    let folder = models();
    fs::write(folder.path().join("two/item_encoder.onnx"), b"no graph").unwrap();
    let site = Site::start_with(&format!("models.folder = {:?}", folder.path())).await;
    for (name, why) in [("two", "item_encoder.onnx"), ("three", "manifest.json")] {
        let (status, reply) = site.post_json("/v1/models", &json!({"name": name})).await;
        assert_eq!((status, &reply["field"]), (400, &json!("name")), "{reply}");
        assert!(reply["detail"].as_str().unwrap().contains(why), "{reply}");
    }
    assert_eq!(site.rank_for("u1", 5).await.len(), 5);
    assert_eq!(state(&site, "two").await, "none");
}

#[tokio::test]
async fn a_restart_loads_the_activated_model_while_its_folder_exists() {
    let folder = models();
    let site = Site::start_with(&format!("models.folder = {:?}", folder.path())).await;
    let first = manifest()["version"].as_str().unwrap().to_owned();
    load(&site).await;
    activate(&site, "two").await;
    let site = site.crash_and_restart().await;
    let reply = site.rank(request(1)).await;
    assert_eq!(reply["model"], "two", "{reply}");
    let deadline = Instant::now() + Duration::from_secs(120);
    while state(&site, &first).await != "ready" {
        assert!(Instant::now() < deadline, "the model before was not loaded in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    activate(&site, &first).await;
    activate(&site, "two").await;
    fs::rename(folder.path().join("two"), folder.path().join("gone")).unwrap();
    let site = site.crash_and_restart().await;
    assert_eq!(site.rank(request(1)).await["model"], json!(first));
}

#[tokio::test]
async fn a_bundle_copied_into_the_watched_folder_is_loaded() {
    let folder = models();
    let watched = TempDir::new().unwrap();
    let more = format!("models.folder = {:?}\nmodels.watch_ms = 50", watched.path());
    let site = Site::start_with(&more).await;
    let whole = folder.path().join("two");
    // As `cp` does it: the manifest may come first, and large files grow.
    let half = watched.path().join("half");
    fs::create_dir(&half).unwrap();
    fs::copy(whole.join("manifest.json"), half.join("manifest.json")).unwrap();
    let graph = fs::read(whole.join("unified.onnx")).unwrap();
    fs::write(half.join("unified.onnx"), &graph[..graph.len() / 2]).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(state(&site, "two").await, "none");
    fs::remove_dir_all(&half).unwrap();
    copy(&whole, &watched.path().join(".new"));
    fs::rename(watched.path().join(".new"), watched.path().join("new")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while state(&site, "two").await != "ready" {
        assert!(Instant::now() < deadline, "the model was not loaded in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    activate(&site, "two").await;
}

#[tokio::test]
async fn sighup_reloads_the_settings() {
    let mut site = Site::start().await;
    assert_eq!(site.rank(request(1)).await["budget"]["total_ms"], 2000.0);
    site.set("budget.default_ms = 3000\nserver.k_max = 30");
    site.hang_up();
    let deadline = Instant::now() + Duration::from_secs(20);
    while site.rank(request(1)).await["budget"]["total_ms"] != 3000.0 {
        assert!(Instant::now() < deadline, "the settings were not taken up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(site.rank_for("u1", 40).await.len(), 40, "k_max needs a restart");
    site.set("budget.default_ms = 0");
    site.hang_up();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(site.alive(), "settings that cannot be used change nothing");
    assert_eq!(site.rank(request(1)).await["budget"]["total_ms"], 3000.0);
}

/// A graph whose last bias is no number: it verifies by checksum, loads, and then gives nothing that can be ranked by.
#[tokio::test]
async fn a_model_that_returns_nan_is_withdrawn_without_failed_requests() {
    let folder = models();
    let two = folder.path().join("two");
    let mut graph = fs::read(two.join("unified.onnx")).unwrap();
    // Its name in the file, then the field of raw data with 4 bytes.
    let name = b"model.head.5.biasJ\x04";
    let at = graph.windows(name.len()).position(|part| part == name).unwrap() + name.len();
    graph[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(two.join("unified.onnx"), graph).unwrap();
    list(&two, "unified.onnx");
    let site = Site::start_with(&format!("models.folder = {:?}", folder.path())).await;
    let first = manifest()["version"].as_str().unwrap().to_owned();
    let before = answer(&site.rank(request(1)).await);
    load(&site).await;
    activate(&site, "two").await;
    for number in 1..=20 {
        let reply = site.rank(request(1)).await;
        assert_eq!((&reply["model"], &reply["rung"]), (&json!(first), &json!("full")), "{number}");
        assert_eq!(answer(&reply), before, "request {number}");
    }
    assert_eq!(state(&site, "two").await, "failed");
    assert_eq!(state(&site, &first).await, "active");
    let (_, list) = site.get("/v1/models").await;
    let models = list["models"].as_array().unwrap();
    let two = models.iter().find(|model| model["version"] == "two").unwrap();
    assert!(two["reason"].as_str().is_some_and(|reason| reason.contains("number")), "{two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_activation_under_load_is_measured() {
    let folder = models();
    let site = Site::start_with(&format!("models.folder = {:?}", folder.path())).await;
    let plan = Exchange {
        server: ShopServer { url: site.url(""), key: None },
        folders: vec!["two".to_owned()],
        rate: 20.0,
        threads: 4,
        alone: Duration::from_secs(2),
        activations: 6,
        users: 10,
        whole: 0.3,
    };
    let phases = tokio::task::spawn_blocking(move || exchange(&plan)).await.unwrap().unwrap();
    let first = manifest()["version"].as_str().unwrap().to_owned();
    let by: Vec<_> = phases.iter().map(|phase| (phase.name, phase.models.len())).collect();
    assert_eq!(by, [("alone", 1), ("loading", 1), ("exchanging", 2)], "{phases:?}");
    assert!(phases.iter().all(|phase| phase.failed + phase.mixed == 0), "{phases:?}");
    assert!(phases.iter().all(|phase| phase.requests > 0), "{phases:?}");
    assert_eq!(state(&site, &first).await, "active");
    assert_eq!(state(&site, "two").await, "none");
}
