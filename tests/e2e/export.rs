//! `plugrank export` and `store backup`: loaded data and events are exported, also from a running server.

use std::{collections::BTreeMap, fs, path::Path};

use plugrank_dataset::{DatasetFolder, DatasetItem, InteractionRow};
use tempfile::TempDir;

use serde_json::{Value, json};

use super::site::{Site, ids, loaded, plugrank, repository, settings, stderr};
use crate::fleet::Fleet;

/// Items by id, each with the bytes of its image.
fn items(folder: &Path) -> Vec<(DatasetItem, Option<Vec<u8>>)> {
    let folder = DatasetFolder::open(folder).unwrap();
    let rows = folder.items().unwrap().collect::<Result<Vec<_>, _>>().unwrap().concat();
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let image = row.image.as_ref().map(|path| folder.image(path).unwrap());
            (DatasetItem { image: None, ..row }, image)
        })
        .collect();
    rows.sort_by(|a, b| a.0.item.item_id.cmp(&b.0.item.item_id));
    rows
}

/// Interactions without what a history does not keep.
fn interactions(folder: &Path) -> Vec<InteractionRow> {
    let folder = DatasetFolder::open(folder).unwrap();
    folder.interactions_without_requests().unwrap().collect::<Result<Vec<_>, _>>().unwrap().concat()
}

#[test]
fn an_exported_shop_equals_the_loaded_one() {
    let folder = TempDir::new().unwrap();
    fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
    let config = settings(folder.path(), 0, "");
    let out = folder.path().join("out");
    let export = || {
        let mut export = plugrank(&["export", "--config"]);
        export.arg(&config).arg("--out").arg(&out).output().expect("plugrank can be started")
    };
    let output = export();
    assert!(output.status.success(), "{}", stderr(&output));
    let shop = repository("models/simshop/dataset");
    assert_eq!(items(&out), items(&shop));
    assert_eq!(interactions(&out), interactions(&shop));
    // Existing files are not overwritten.
    let again = export();
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is not empty; name a folder that is"), "{}", stderr(&again));
}

#[tokio::test]
async fn a_running_shop_is_exported_with_its_served_lists() {
    let site =
        Site::start_with("events.types.purchase = { task = \"purchase\", weight = 4.0 }").await;
    let reply = site.rank(json!({"user_id": "u1", "k": 5})).await;
    let shown = ids(reply["items"].as_array().unwrap());
    let event = |id: &str, kind: &str, place: usize| {
        json!({"event_id": id, "type": kind, "user_id": "u1", "item_id": shown[place],
            "request_id": reply["request_id"]})
    };
    let events =
        [event("e1", "impression", 0), event("e2", "click", 3), event("e3", "purchase", 3)];
    let (status, answer) = site.post_json("/v1/events", &json!({"events": events})).await;
    assert_eq!(status, 202, "{answer}");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let output = plugrank(&["export", "--url", &site.url(""), "--out"])
        .arg(&out)
        .output()
        .expect("plugrank can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    let shop = repository("models/simshop/dataset");
    assert_eq!(items(&out), items(&shop));
    let rows: Vec<InteractionRow> = DatasetFolder::open(&out)
        .unwrap()
        .interactions()
        .unwrap()
        .flat_map(Result::unwrap)
        .collect();
    let loaded = interactions(&shop).len();
    assert_eq!(rows.len(), loaded + 2);
    let told: Vec<_> = rows[loaded..]
        .iter()
        .map(|row| (row.item_id.as_str(), row.clicked, row.request_id.as_deref(), row.position))
        .collect();
    let request = reply["request_id"].as_str();
    let mut expected =
        vec![(shown[0], false, request, Some(0)), (shown[3], true, request, Some(3))];
    expected.sort_by_key(|(item, ..)| told.iter().position(|(id, ..)| id == item));
    assert_eq!(told, expected);
    assert!(out.join("exposures.parquet").is_file());
}

#[tokio::test]
async fn a_shop_in_redis_is_exported_with_later_events() {
    let fleet = Fleet::start().await;
    let server = fleet.start_role("all", "store.redis.timeout_ms = 10000").await;
    let post = async |path: &str, body: Value| -> Value {
        let answer = fleet.http.post(server.url(path)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path} {body}");
        answer.json().await.unwrap()
    };
    let reply = post("/v1/rank", json!({"user_id": "u1", "k": 5})).await;
    let shown = ids(reply["items"].as_array().unwrap());
    let event = |id: &str, kind: &str, place: usize| {
        json!({"event_id": id, "type": kind, "user_id": "u1", "item_id": shown[place],
            "request_id": reply["request_id"]})
    };
    let events = [event("e1", "impression", 0), event("e2", "click", 3)];
    post("/v1/events", json!({"events": events})).await;
    let out = fleet.folder("out");
    let mut export = plugrank(&["export", "--url", &server.url(""), "--out"]);
    let output = export.arg(&out).output().expect("plugrank can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    let shop = repository("models/simshop/dataset");
    assert_eq!(items(&out), items(&shop));
    // Redis returns users in no order.
    let sorted = |folder: &Path| {
        let mut rows = interactions(folder);
        rows.sort_by(|a, b| {
            let key = |row: &InteractionRow| {
                (row.timestamp, row.user_id.clone(), row.item_id.clone(), row.clicked)
            };
            key(a).cmp(&key(b))
        });
        rows
    };
    let (found, loaded) = (sorted(&out), sorted(&shop));
    assert_eq!(found.len(), loaded.len() + 2);
    assert_eq!(found[..loaded.len()], loaded[..]);
    let rows = DatasetFolder::open(&out).unwrap().interactions().unwrap().flat_map(Result::unwrap);
    let rows: Vec<InteractionRow> = rows.filter(|row| row.request_id.is_some()).collect();
    let told: BTreeMap<&str, _> = rows
        .iter()
        .map(|row| (row.item_id.as_str(), (row.clicked, row.request_id.as_deref(), row.position)))
        .collect();
    let request = reply["request_id"].as_str();
    let expected = [(shown[0], (false, request, Some(0))), (shown[3], (true, request, Some(3)))];
    assert_eq!(told, BTreeMap::from(expected));
    assert!(out.join("exposures.parquet").is_file() && out.join("users.parquet").is_file());
}

#[tokio::test]
async fn a_store_is_backed_up_while_it_serves() {
    let site = Site::start().await;
    let click = json!({"event_id": "e1", "type": "click", "user_id": "late", "item_id": "i7"});
    site.post_json("/v1/events", &json!({"events": [click]})).await;
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy.redb");
    let backup = || {
        let mut backup = plugrank(&["store", "backup", "--url", &site.url(""), "--to"]);
        backup.arg(&copy).output().expect("plugrank can be started")
    };
    let output = backup();
    assert!(output.status.success(), "{}", stderr(&output));
    let again = backup();
    assert!(stderr(&again).contains("is there already"), "{}", stderr(&again));
    // Nothing is left beside the store.
    assert_eq!(site.rank_for("late", 3).await.len(), 3);
    drop(site);
    let config = settings(folder.path(), 0, "");
    let restore = plugrank(&["store", "restore", "--config"])
        .arg(&config)
        .arg("--from")
        .arg(&copy)
        .output()
        .expect("plugrank can be started");
    assert!(restore.status.success(), "{}", stderr(&restore));
    let out = folder.path().join("out");
    let mut export = plugrank(&["export", "--config"]);
    let output = export.arg(&config).arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found = interactions(&out);
    let last = found.last().unwrap();
    assert_eq!((last.user_id.as_str(), last.item_id.as_str(), last.clicked), ("late", "i7", true));
    assert_eq!(found.len(), interactions(&repository("models/simshop/dataset")).len() + 1);
}
