use std::{collections::BTreeMap, sync::Arc};

use arrow_cast::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plugrank_contract::{
    Event, EventType, ExposedItem, Exposure, FeatureValue, HistoryEntry, Item, User,
    feature::Number,
};
use plugrank_dataset::{DatasetFolder, DatasetItem, InteractionRow, Negatives, TableTarget, Time};
use plugrank_store::{ExposureRow, NewItem, Store, TimeRange};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

use super::{
    ExportError, ExportOptions, ExportReport, ExportTable, Unwatched, export, export_table,
};

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
        rerank: Vec::new(),
    }
}

fn entry(id: &str, clicked: bool, timestamp: i64) -> HistoryEntry {
    HistoryEntry::new(id.into(), clicked, timestamp)
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
    let range = TimeRange { from: since.unwrap_or(i64::MIN), ..TimeRange::ALL };
    ExportOptions { name: "day".to_owned(), range, ..ExportOptions::default() }
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
async fn the_content_of_the_store_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let out = dir.path().join("out");
    let report = export(&store, &out, &options(None), &Unwatched).await.unwrap();
    let expected = ExportReport {
        items: 3,
        images: 2,
        users: 2,
        interactions: 5,
        unknown_items: 1,
        ..ExportReport::default()
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
    // In the order of the format: shorter ids first.
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
async fn rows_before_the_range_are_left_out_and_click_only_logs_are_marked() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let later = dir.path().join("later");
    let report = export(&store, &later, &options(Some(20)), &Unwatched).await.unwrap();
    assert_eq!((report.interactions, report.other_time, report.unknown_items), (4, 1, 1));
    let options = options(Some(25));
    store.put_history(vec![("u2".into(), entry("i2", true, 25))]).await.unwrap();
    let clicks = dir.path().join("clicks");
    export(&store, &clicks, &options, &Unwatched).await.unwrap();
    assert_eq!(DatasetFolder::open(&clicks).unwrap().meta().negatives, Negatives::Matched);
}

#[tokio::test]
async fn requests_and_positions_come_from_events_and_served_lists() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let click = |id: &str, item: &str, position: Option<u32>, timestamp| Event {
        event_id: id.to_owned(),
        event_type: EventType::click(),
        user_id: "u10".into(),
        item_id: item.into(),
        value: position.map(|_| 0.25),
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
    let report = export(&store, &out, &options(Some(50)), &Unwatched).await.unwrap();
    assert_eq!((report.interactions, report.with_request), (2, 2));
    let folder = DatasetFolder::open(&out).unwrap();
    let rows = folder.interactions().unwrap().collect::<Result<Vec<_>, _>>().unwrap().concat();
    let placed: Vec<_> = rows
        .iter()
        .map(|row| (row.item_id.as_str(), row.request_id.as_deref(), row.position))
        .collect();
    assert_eq!(placed, [("i2", Some("r"), Some(1)), ("i1", Some("r"), Some(2))]);
    let told = |row: &InteractionRow| (row.action.clone(), row.value.map(Number::as_f64));
    let told: Vec<_> = rows.iter().map(told).collect();
    assert_eq!(told, [(Some("click".into()), Some(0.25)), (Some("click".into()), None)]);
}

#[tokio::test]
async fn existing_files_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let taken = export(&store, dir.path(), &options(None), &Unwatched).await;
    assert!(matches!(taken, Err(ExportError::Occupied(_))), "{taken:?}");
}

#[tokio::test]
async fn a_stream_has_the_bytes_of_the_file_and_later_events_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;
    let event = |id: &str, kind: &str, user: &str, timestamp| Event {
        event_id: id.to_owned(),
        event_type: EventType { name: kind.into(), ..EventType::click() },
        user_id: user.into(),
        item_id: "i1".into(),
        value: None,
        request_id: Some("r".to_owned()),
        position: None,
        surface: None,
        timestamp,
    };
    let hour = FeatureValue::from(7);
    let features = BTreeMap::from([("hour".to_owned(), hour.clone()), ("label".to_owned(), hour)]);
    let shown = Exposure { surface: Some("home".to_owned()), features, ..exposure("r", "u10", 40) };
    store.append_exposures([ExposureRow::from(&shown)].into()).await.unwrap();
    // The same id of another user's request is not its request.
    let events = vec![
        event("1", "click", "u10", 50),
        event("2", "purchase", "u10", 70),
        event("3", "click", "u2", 80),
    ];
    store.append_events(events).await.unwrap();
    let tasks = BTreeMap::from([("purchase".to_owned(), "bought".to_owned())]);
    let options = ExportOptions { tasks, ..options(None) };
    let out = dir.path().join("out");
    let report = export(&store, &out, &options, &Unwatched).await.unwrap();
    assert_eq!((report.with_request, report.with_position, report.exposures), (2, 1, 1));
    assert_eq!(report.reserved_features, ["label"]);
    for table in ExportTable::ALL {
        let file = dir.path().join("streamed");
        let stream = TableTarget::Stream(Box::new(std::fs::File::create(&file).unwrap()));
        export_table(&store, table, stream, &options, &Unwatched).await.unwrap();
        let same = std::fs::read(&file).unwrap() == std::fs::read(out.join(table.file())).unwrap();
        assert!(same, "{table}");
    }
    let file = std::fs::File::open(out.join(ExportTable::Interactions.file())).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = reader.map(Result::unwrap).next().unwrap();
    let text = |column: &str| {
        let column = batch.column_by_name(column).unwrap();
        (0..batch.num_rows())
            .map(|row| array_value_to_string(column, row).unwrap())
            .collect::<Vec<_>>()
    };
    // Five of the loader: whether they led to a purchase is unknown.
    assert_eq!(text("label_bought"), ["", "", "", "", "", "1", "0"]);
    assert_eq!(text("surface"), ["", "", "", "", "", "home", ""]);
    assert_eq!(text("hour"), ["", "", "", "", "", "7", ""]);
}
