use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use plugrank_contract::{Event, EventType, HistoryEntry, Item, ItemId, User};
use plugrank_dataset::{
    DatasetItem, DatasetMeta, FeatureType, InteractionRow, InteractionWriter, ItemWriter,
    Negatives, Time, UserWriter,
};
use plugrank_store::{ItemStats, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

use super::{LoadOptions, LoadReport, Progress, load};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

/// User, item, timestamp, clicked; `i9` is not in the catalog.
const LOG: [(&str, &str, i64, bool); 7] = [
    ("u1", "i1", 10, true),
    ("u1", "i2", 20, true),
    ("u2", "i1", 20, true),
    ("u2", "i3", 30, false),
    ("u2", "i2", 40, true),
    ("u1", "i3", 50, true),
    ("u1", "i9", 60, false),
];

fn item(id: &str) -> DatasetItem {
    let item = Item {
        item_id: id.into(),
        title: format!("Item {id}"),
        text: String::new(),
        categories: vec!["things".to_owned()],
        created_at: Some(1),
        available: true,
        image_hash: None,
        features: BTreeMap::new(),
    };
    DatasetItem { item, image: (id == "i1").then(|| "i1.png".to_owned()) }
}

fn dataset(folder: &Path) {
    let mut items = ItemWriter::create(folder, &[]).unwrap();
    ["i1", "i2", "i3"].into_iter().for_each(|id| items.write(item(id)).unwrap());
    items.finish().unwrap();
    fs::write(folder.join("i1.png"), PNG).unwrap();
    let mut users =
        UserWriter::create(folder, &[("age", FeatureType::from_value(&30.into()))]).unwrap();
    for id in ["u1", "u2"] {
        let features = BTreeMap::from([("age".to_owned(), 30.into())]);
        users.write(User { user_id: id.into(), features }).unwrap();
    }
    users.finish().unwrap();
    let mut log = InteractionWriter::create(folder).unwrap();
    for (user, item, timestamp, clicked) in LOG {
        log.write(InteractionRow {
            user_id: user.into(),
            item_id: item.into(),
            timestamp,
            clicked,
            request_id: None,
            position: None,
            action: None,
            value: None,
        })
        .unwrap();
    }
    log.finish().unwrap();
    let meta = DatasetMeta {
        name: "test".to_owned(),
        time: Time::Ms,
        negatives: Negatives::Logged,
        more: serde_json::Map::new(),
    };
    meta.write(folder).unwrap();
}

/// A dataset folder and an empty store.
fn fixture() -> (tempfile::TempDir, Arc<dyn Store>) {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let options = EmbeddedOptions { page_cache_mb: 1, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(&dir.path().join("store.redb"), options).unwrap();
    (dir, Arc::new(store))
}

async fn run(store: &Arc<dyn Store>, folder: &Path, until: Option<i64>) -> LoadReport {
    let progress = Progress::hidden();
    load(Arc::clone(store), folder, LoadOptions { until, ..LoadOptions::default() }, &progress)
        .await
        .unwrap()
}

async fn refusal(store: &Arc<dyn Store>, folder: &Path) -> String {
    let progress = Progress::hidden();
    let result = load(Arc::clone(store), folder, LoadOptions::default(), &progress).await;
    result.unwrap_err().to_string()
}

fn ids() -> Vec<ItemId> {
    ["i1", "i2", "i3"].map(ItemId::from).to_vec()
}

/// Everything a load writes, as the store answers it.
async fn content(store: &Arc<dyn Store>) -> String {
    let mut parts = vec![
        format!("{:?}", store.item_count().await.unwrap()),
        format!("{:?}", store.items(&ids()).await.unwrap()),
        format!("{:?}", store.images(&ids()).await.unwrap()),
        format!("{:?}", counts(store).await),
        format!("{:?}", store.neighbours(&ids()).await.unwrap()),
    ];
    for user in ["u1", "u2"] {
        parts.push(format!("{:?}", store.user(&user.into()).await.unwrap()));
        parts.push(format!("{:?}", store.history(&user.into(), 100, 50, 50).await.unwrap()));
    }
    parts.join("\n")
}

/// Impressions, clicks and popularity of the items. Popularity, which is as of the load, to three places:
/// a later load has it a little smaller.
async fn counts(store: &Arc<dyn Store>) -> Vec<(u64, u64, String)> {
    let stats = store.item_stats(&ids()).await.unwrap();
    let counts = |one: ItemStats| {
        let popularity = format!("{:.3}", one.popularity.value);
        (one.impressions, one.clicks, popularity)
    };
    stats.into_iter().map(counts).collect()
}

fn stats(impressions: u64, clicks: u64) -> (u64, u64, String) {
    (impressions, clicks, format!("{clicks}.000"))
}

#[tokio::test]
async fn a_load_writes_every_table() {
    let (dir, store) = fixture();
    let report = run(&store, dir.path(), None).await;
    assert_eq!((report.items, report.images, report.users, report.interactions), (3, 1, 2, 7));
    assert_eq!((report.items_before, report.later, report.unknown_items), (0, 0, 1));
    let names: Vec<_> = report.phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, ["columns", "items", "users", "interactions", "co-visitation"]);

    let images = store.images(&ids()).await.unwrap();
    assert_eq!(images, [Some(PNG.to_vec()), None, None]);
    let user = store.user(&"u2".into()).await.unwrap().unwrap();
    assert_eq!(user.features["age"], 30.into());
    let entry = |id: &str, timestamp, clicked| HistoryEntry::new(id.into(), clicked, timestamp);
    let history = store.history(&"u2".into(), 100, 50, 50).await.unwrap();
    assert_eq!(
        history.entries,
        [entry("i2", 40, true), entry("i3", 30, false), entry("i1", 20, true)]
    );
    assert_eq!(counts(&store).await, [stats(2, 2), stats(2, 2), stats(2, 1)]);
    let neighbours = store.neighbours(&ids()).await.unwrap();
    // Both users clicked i1 and i2; one of them i3 as well: 1 / sqrt(2 * 1).
    assert_eq!(neighbours[0][0], ("i2".into(), 1.0));
    assert_eq!(neighbours[0][1].0, "i3".into());
    assert!((neighbours[0][1].1 - 0.5f32.sqrt()).abs() < 1e-6);
}

#[tokio::test]
async fn a_repeated_load_changes_nothing() {
    let (dir, store) = fixture();
    run(&store, dir.path(), None).await;
    let once = content(&store).await;
    let report = run(&store, dir.path(), None).await;
    assert_eq!(report.items_before, 3);
    assert_eq!(content(&store).await, once);
}

#[tokio::test]
async fn events_since_the_last_load_stay_counted() {
    let (dir, store) = fixture();
    run(&store, dir.path(), None).await;
    let click = Event {
        event_id: "e1".to_owned(),
        event_type: EventType::click(),
        user_id: "u1".into(),
        item_id: "i3".into(),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp: 90,
    };
    assert_eq!(store.append_events(vec![click]).await.unwrap(), [true]);
    let before = content(&store).await;
    assert_eq!(store.item_stats(&ids()).await.unwrap()[2].clicks, 2);
    run(&store, dir.path(), None).await;
    assert_eq!(content(&store).await, before);
}

#[tokio::test]
async fn until_excludes_that_time_and_later_rows() {
    let (dir, store) = fixture();
    let report = run(&store, dir.path(), Some(40)).await;
    assert_eq!((report.interactions, report.later), (4, 3));
    let history = store.history(&"u2".into(), 100, 50, 50).await.unwrap();
    assert_eq!(history.entries.iter().map(|entry| entry.timestamp).collect::<Vec<_>>(), [30, 20]);
    assert_eq!(counts(&store).await, [stats(2, 2), stats(1, 1), stats(1, 0)]);
    assert!(store.neighbours(&ids()).await.unwrap()[2].is_empty());

    // The rest comes with a later load.
    let report = run(&store, dir.path(), None).await;
    assert_eq!(report.later, 0);
    assert_eq!(counts(&store).await[1], stats(2, 2));
}

#[tokio::test]
async fn a_damaged_or_missing_file_is_named() {
    for file in ["items.parquet", "users.parquet", "interactions.parquet"] {
        let (dir, store) = fixture();
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let message = refusal(&store, dir.path()).await;
        assert!(message.contains(file) && message.contains("not a readable"), "{message}");
        fs::remove_file(&path).unwrap();
        let message = refusal(&store, dir.path()).await;
        assert!(message.contains(file) && message.contains("no such file"), "{message}");
        // Put right, the load completes what the first one began.
        fs::write(&path, whole).unwrap();
        assert_eq!(run(&store, dir.path(), None).await.interactions, 7);
    }
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let (dir, store) = fixture();
    fs::remove_file(dir.path().join("i1.png")).unwrap();
    let message = refusal(&store, dir.path()).await;
    assert!(message.contains("there is no file `i1.png`"), "{message}");
}

#[tokio::test]
async fn a_path_that_is_no_folder_is_named() {
    let (dir, store) = fixture();
    let path = dir.path().join("items.parquet").join("below");
    let message = refusal(&store, &path).await;
    assert!(message.contains("items.parquet/below"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_path_without_write_permission_is_named() {
    // Not even root may make files here.
    let path = Path::new("/proc/plugrank/store.redb");
    let error = EmbeddedStore::open(path, EmbeddedOptions::default()).unwrap_err().to_string();
    assert!(error.contains("/proc/plugrank"), "{error}");
}
