//! A process that is started again answers as before.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    e2e::site::{loaded, settings},
    fleet::{Process, free_port},
};

/// Users whose lists are compared.
const USERS: [&str; 4] = ["u1", "u2", "u3", "a-stranger"];

/// Ids and probabilities of a list.
type Listed = Vec<(String, f64)>;

/// A server over a shop of its own.
struct Site {
    http: Client,
    process: Process,
    config: PathBuf,
    folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        fs::copy(loaded().join("store.redb"), folder.path().join("store.redb")).unwrap();
        let port = free_port();
        let config = settings(folder.path(), port, "");
        let http = Client::new();
        let process = Process::start("all", port, config.clone());
        process.ready(&http).await;
        Self { http, process, config, folder }
    }

    /// Ends it as an operator does, and starts it again.
    async fn restart(&mut self) {
        assert_eq!(self.process.terminate().await, Some(0));
        self.process.restart();
        self.process.ready(&self.http).await;
    }

    /// Lines of the log that have a text, of all starts.
    fn log_lines(&self, text: &str) -> Vec<String> {
        let log = fs::read_to_string(self.config.with_extension("log")).unwrap();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Waits until so many were saved, over all starts.
    async fn snapshots_saved(&self, count: usize) {
        tokio::time::timeout(Duration::from_secs(60), async {
            while self.log_lines("a snapshot was saved").len() < count {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("a snapshot is saved");
    }

    /// Ids and probabilities of a user's list, for which no record was missing; of these candidates, if they are named.
    async fn list(&self, user: &str, candidates: Option<&[String]>) -> Listed {
        let mut body = json!({"user_id": user, "k": 20, "budget_ms": 5000});
        if let Some(candidates) = candidates {
            body["candidates"] = json!(candidates);
        }
        let asked = self.http.post(self.process.url("/v1/rank")).json(&body).send().await.unwrap();
        let reply: Value = asked.json().await.unwrap();
        assert_eq!(
            (&reply["degraded"], &reply["coverage"]["missing"]),
            (&json!([]), &json!(0)),
            "{reply}"
        );
        let of = |item: &Value| {
            (item["item_id"].as_str().unwrap().to_owned(), item["ctr"].as_f64().unwrap())
        };
        reply["items"].as_array().unwrap().iter().map(of).collect()
    }

    /// Lists of all users.
    async fn lists(&self) -> Vec<Listed> {
        let mut lists = Vec::new();
        for user in USERS {
            lists.push(self.list(user, None).await);
        }
        lists
    }

    /// What all users are predicted of these items, by id: of new ones the order is drawn.
    async fn predicted(&self, items: &[String]) -> Vec<Listed> {
        let mut lists = Vec::new();
        for user in USERS {
            let mut list = self.list(user, Some(items)).await;
            list.sort_by(|(a, _), (b, _)| a.cmp(b));
            lists.push(list);
        }
        lists
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) {
        let mut call = self.http.request(method, self.process.url(path));
        if let Some(body) = body {
            call = call.json(body);
        }
        let status = call.send().await.unwrap().status();
        assert!(status.is_success(), "{path}: {status}");
    }
}

/// Whether the table was restored from a snapshot, start by start.
fn restored(site: &Site) -> Vec<bool> {
    let filled = site.log_lines("item table is filled");
    filled.iter().map(|line| !line.contains("snapshot=\"none\"")).collect()
}

fn assert_same(after: &[Listed], before: &[Listed]) {
    assert_eq!(after.len(), before.len());
    for ((user, after), before) in USERS.iter().zip(after).zip(before) {
        assert_eq!(after.len(), before.len(), "{user}");
        for ((item, ctr), (other, expected)) in after.iter().zip(before) {
            assert_eq!(item, other, "{user}");
            assert!((ctr - expected).abs() < 1e-5, "{user}: {ctr} {expected}");
        }
    }
}

#[tokio::test]
async fn a_restart_from_a_snapshot_answers_as_before() {
    let mut site = Site::start().await;
    let before = site.lists().await;
    site.snapshots_saved(1).await;
    site.restart().await;
    assert_same(&site.lists().await, &before);
    assert_eq!(restored(&site), [false, true]);
}

#[tokio::test]
async fn a_restart_applies_what_was_written_after_the_snapshot() {
    let mut site = Site::start().await;
    site.snapshots_saved(1).await;
    let mut names: Vec<String> =
        site.list("u1", None).await.into_iter().map(|(item, _)| item).collect();
    let deleted = names.remove(0);
    let ctr_of = |lists: &[Listed], id: &str| {
        lists[0].iter().find(|(item, _)| item == id).map(|(_, ctr)| *ctr)
    };
    let old = site.predicted(&names).await;
    let boat = json!({"title": "A boat", "text": "Two oars and an anchor.", "features": {"brand": "Acme"}});
    let changed = names[0].clone();
    names.push("a-new-one".to_owned());
    site.call(Method::DELETE, &format!("/v1/items/{deleted}"), None).await;
    site.call(Method::PATCH, &format!("/v1/items/{changed}"), Some(&boat)).await;
    site.call(Method::PUT, "/v1/items/a-new-one", Some(&boat)).await;
    let before = site.predicted(&names).await;
    assert!(ctr_of(&before, "a-new-one").is_some());
    let change = ctr_of(&before, &changed).unwrap() - ctr_of(&old, &changed).unwrap();
    assert!(change.abs() > 1e-6, "its record is of the new content");

    // Ends without a word: what it had in memory alone is gone.
    site.process.kill();
    site.process.restart();
    site.process.ready(&site.http).await;
    assert_eq!(restored(&site), [false, true]);
    assert_same(&site.predicted(&names).await, &before);
    assert!(site.lists().await.iter().flatten().all(|(item, _)| *item != deleted));

    // Snapshots that are cut off are noticed, and the store is read in their place.
    site.snapshots_saved(2).await;
    assert_eq!(site.process.terminate().await, Some(0));
    let tables = snapshot_tables(site.folder.path());
    assert_eq!(tables.len(), 2);
    for path in tables {
        let table = fs::read(&path).unwrap();
        fs::write(&path, &table[..table.len() / 2]).unwrap();
    }
    site.process.restart();
    site.process.ready(&site.http).await;
    assert_same(&site.predicted(&names).await, &before);
    assert!(site.lists().await.iter().flatten().all(|(item, _)| *item != deleted));
    assert_eq!(site.log_lines("a snapshot is refused").len(), 2);
    assert_eq!(restored(&site), [false, true, false]);
}

/// The tables of all snapshots.
fn snapshot_tables(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("store.redb.snapshots")).unwrap();
    let tables = entries.map(|entry| entry.unwrap().path().join("items.bin"));
    tables.filter(|path| path.is_file()).collect()
}
