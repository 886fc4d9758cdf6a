use std::{collections::BTreeMap, sync::Arc};

use plugrank_contract::{
    Event, EventType, ExposedItem, Exposure, FeatureValue, HistoryEntry, Item, User,
    feature::Number,
};
use plugrank_dataset::{DatasetFolder, DatasetItem, InteractionRow, Negatives, Time};
use plugrank_store::{ExposureRow, NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

use super::{ExportError, ExportOptions, ExportReport, export};
use crate::load::Progress;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

fn item(id: &str, image: bool, features: &[(&str, FeatureValue)]) -> NewItem {
    let named = |(name, value): &(&str, FeatureValue)| ((*name).to_owned(), value.clone());
    let item = Item {
        item_id: id.into(),
        title: format!("Item {id}"),
        text: String::new(),
        categories: vec!["things".to_owned()],
        created_at: Some(1),
        available: true,
        image_hash: None,
        features: features.iter().map(named).collect(),
    };
    NewItem { item, image: image.then(|| PNG.to_vec()) }
}

fn exposure(request: &str, user: &str, timestamp: i64) -> Exposure {
    let item = ExposedItem {
        item_id: "i1".into(),
        score: None,
        ctr: None,
        scores: Vec::new(),
        propensity: None,
        features: BTreeMap::new(),
    };
    Exposure {
        request_id: request.to_owned(),
        timestamp,
        user_id: user.into(),
        surface: None,
        arms: Vec::new(),
        forced_arms: false,
        bundle: None,
        rung: "full".to_owned(),
        degraded: false,
        late: false,
        failed: false,
        coverage: 1.0,
        features: BTreeMap::new(),
        tasks: Vec::new(),
        items: vec![item],
    }
}

fn entry(id: &str, clicked: bool, timestamp: i64) -> HistoryEntry {
    HistoryEntry { item_id: id.into(), clicked, timestamp }
}

/// A store with three items, two of them with the same image, and one that was deleted.
async fn store(folder: &std::path::Path) -> Arc<dyn Store> {
    let options = EmbeddedOptions { page_cache_mb: 1, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(&folder.join("store.redb"), options).unwrap();
    let half = Number::new(0.5).unwrap();
    let items = vec![
        item("i1", true, &[]),
        item("i10", true, &[("brand", "b".into()), ("size", 3.into())]),
        item("i2", false, &[("colour", "red".into()), ("size", half.into())]),
        item("gone", false, &[]),
    ];
    store.put_items(items).await.unwrap();
    let features = BTreeMap::from([("age".to_owned(), 30.into())]);
    store.put_users(vec![User { user_id: "u2".into(), features }]).await.unwrap();
    let entries = [
        ("u2", entry("i1", false, 20)),
        ("u10", entry("i10", true, 20)),
        ("u2", entry("i10", true, 20)),
        ("u2", entry("i2", false, 20)),
        ("u2", entry("gone", true, 30)),
        ("u10", entry("i1", true, 10)),
    ];
    let entries = entries.map(|(user, entry)| (user.into(), entry)).to_vec();
    store.put_history(entries).await.unwrap();
    store.delete_items(&["gone".into()]).await.unwrap();
    Arc::new(store)
}

fn options(since: Option<i64>) -> ExportOptions {
    ExportOptions { name: "day".to_owned(), time: Time::Ms, since }
}

fn interactions(folder: &DatasetFolder) -> Vec<(String, String, i64, bool)> {
    let rows: Vec<InteractionRow> = folder
        .interactions()
        .unwrap()
        .collect::<Result<Vec<_>, _>>()
        .unwrap()
        .into_iter()
        .flatten()
        .collect();
    rows.into_iter()
        .map(|row| (row.user_id.to_string(), row.item_id.to_string(), row.timestamp, row.clicked))
        .collect()
}

#[tokio::test]
async fn what_the_store_holds_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let out = dir.path().join("out");
    let report = export(&store, &out, &options(None), &Progress::hidden()).await.unwrap();
    let expected = ExportReport {
        items: 3,
        images: 2,
        users: 2,
        interactions: 5,
        with_request: 0,
        earlier: 0,
        unknown_items: 1,
    };
    assert_eq!(report, expected);

    let folder = DatasetFolder::open(&out).unwrap();
    assert_eq!(folder.meta().name, "day");
    assert_eq!((folder.meta().time, folder.meta().negatives), (Time::Ms, Negatives::Logged));
    let items: Vec<DatasetItem> =
        folder.items().unwrap().collect::<Result<Vec<_>, _>>().unwrap().concat();
    let pictured: Vec<&DatasetItem> = items.iter().filter(|row| row.image.is_some()).collect();
    assert_eq!(pictured.len(), 2);
    assert_eq!(pictured[0].image, pictured[1].image);
    assert_eq!(folder.image(pictured[0].image.as_ref().unwrap()).unwrap(), PNG);
    let brand = items.iter().find(|row| row.item.item_id.as_str() == "i10").unwrap();
    assert_eq!(
        brand.item.features,
        BTreeMap::from([("brand".to_owned(), "b".into()), ("size".to_owned(), 3.into()),])
    );
    let users = folder.users().unwrap().collect::<Result<Vec<_>, _>>().unwrap().concat();
    let names: Vec<&str> = users.iter().map(|user| user.user_id.as_str()).collect();
    assert_eq!(names, ["u2", "u10"]);
    assert_eq!(users[0].features["age"], 30.into());
    // In the order that the format asks for: shorter ids first.
    let row = |user: &str, item: &str, at, clicked| (user.to_owned(), item.to_owned(), at, clicked);
    let expected = [
        row("u10", "i1", 10, true),
        row("u2", "i1", 20, false),
        row("u2", "i2", 20, false),
        row("u2", "i10", 20, true),
        row("u10", "i10", 20, true),
    ];
    assert_eq!(interactions(&folder), expected);
}

#[tokio::test]
async fn what_is_earlier_is_left_out_and_clicks_alone_are_known_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let later = dir.path().join("later");
    let report = export(&store, &later, &options(Some(20)), &Progress::hidden()).await.unwrap();
    assert_eq!((report.interactions, report.earlier, report.unknown_items), (4, 1, 1));
    let options = options(Some(25));
    store.put_history(vec![("u2".into(), entry("i2", true, 25))]).await.unwrap();
    let clicks = dir.path().join("clicks");
    export(&store, &clicks, &options, &Progress::hidden()).await.unwrap();
    assert_eq!(DatasetFolder::open(&clicks).unwrap().meta().negatives, Negatives::Matched);
}

#[tokio::test]
async fn requests_and_positions_are_those_of_events_and_served_lists() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let click = |id: &str, item: &str, position, timestamp| Event {
        event_id: id.to_owned(),
        event_type: EventType::click(),
        user_id: "u10".into(),
        item_id: item.into(),
        value: None,
        request_id: Some("r".to_owned()),
        position,
        surface: None,
        timestamp,
    };
    let shown = Exposure { items: Vec::new(), ..exposure("r", "u10", 40) };
    let item =
        |id: &str| ExposedItem { item_id: id.into(), ..exposure("r", "u10", 40).items[0].clone() };
    let shown = Exposure { items: vec![item("i10"), item("i2"), item("i1")], ..shown };
    store.append_exposures([ExposureRow::from(&shown)].into()).await.unwrap();
    let events = vec![click("1", "i2", Some(2), 50), click("2", "i1", None, 60)];
    store.append_events(events).await.unwrap();
    let out = dir.path().join("out");
    let report = export(&store, &out, &options(Some(50)), &Progress::hidden()).await.unwrap();
    assert_eq!((report.interactions, report.with_request), (2, 2));
    let folder = DatasetFolder::open(&out).unwrap();
    let rows = folder.interactions().unwrap().collect::<Result<Vec<_>, _>>().unwrap().concat();
    let placed: Vec<_> = rows
        .iter()
        .map(|row| (row.item_id.as_str(), row.request_id.as_deref(), row.position))
        .collect();
    assert_eq!(placed, [("i2", Some("r"), Some(1)), ("i1", Some("r"), Some(2))]);
}

#[tokio::test]
async fn nothing_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let taken = export(&store, dir.path(), &options(None), &Progress::hidden()).await;
    assert!(matches!(taken, Err(ExportError::Occupied(_))), "{taken:?}");
}
