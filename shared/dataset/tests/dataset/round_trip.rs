//! Rows read back equal the rows written.

use std::{collections::BTreeMap, fs};

use crate::common::folder;
use plugrank_contract::{FeatureValue, Item, User, feature::Number};
use plugrank_dataset::{
    DatasetItem, FeatureType, InteractionRow, InteractionWriter, ItemWriter, TruthRow, TruthWriter,
    UserWriter,
};

pub(crate) fn item(number: usize) -> DatasetItem {
    let present = |every: usize, name: &str, value: FeatureValue| {
        (!number.is_multiple_of(every)).then(|| (name.to_owned(), value))
    };
    let half = Number::new(number as f64 + 0.5).unwrap_or(0_i64.into());
    let features = [
        present(3, "brand", format!("b{}", number % 3).into()),
        present(4, "stock", (number as i64 - 5).into()),
        present(5, "hash", Number::from(u64::MAX - number as u64).into()),
        present(6, "price", half.into()),
        present(7, "tags", FeatureValue::Texts(["a".into(), "b".into()].into())),
        present(8, "sizes", FeatureValue::Numbers([half, 3_i64.into()].into())),
        // Texts and numbers mixed, which no numeric column holds.
        present(9, "code", if number.is_multiple_of(2) { "x".into() } else { 7.into() }),
    ];
    DatasetItem {
        item: Item {
            item_id: format!("i{number}").into(),
            title: format!("Oak table {number}"),
            text: if number.is_multiple_of(2) { String::new() } else { "Für vier.".to_owned() },
            categories: (0..number % 3).map(|level| format!("c{level}")).collect(),
            created_at: (!number.is_multiple_of(5)).then_some(1_700_000_000_000 + number as i64),
            available: true,
            image_hash: None,
            features: features.into_iter().flatten().collect(),
        },
        image: number.is_multiple_of(4).then(|| format!("images/{number}.png")),
    }
}

/// The columns that the first items' features need.
pub(crate) fn columns() -> Vec<(&'static str, FeatureType)> {
    let column = |name: &'static str| {
        let items = (0..10).map(item);
        let types =
            items.filter_map(|row| row.item.features.get(name).map(FeatureType::from_value));
        (name, types.reduce(FeatureType::with).unwrap_or_default())
    };
    ["brand", "stock", "hash", "price", "tags", "sizes", "code"].map(column).to_vec()
}

pub(crate) fn impression(number: usize) -> InteractionRow {
    InteractionRow {
        user_id: format!("u{}", number / 10).into(),
        item_id: format!("i{}", 100 + number % 10).into(),
        timestamp: 1_700_000_000_000 + (number / 10) as i64,
        clicked: number.is_multiple_of(7),
        request_id: (number % 20 < 10).then(|| format!("r{}", number / 10)),
        position: (number % 20 < 10).then_some((number % 10) as u32),
        action: (!number.is_multiple_of(3)).then(|| ["view", "buy"][number % 3 - 1].into()),
        value: Number::new(number as f64 / 4.0).filter(|_| number % 3 == 2),
    }
}

#[test]
fn rows_round_trip_over_many_batches() {
    let (dir, folder) = folder();
    let count = 20_000;

    let mut items = ItemWriter::create(dir.path(), &columns()).unwrap();
    let mut interactions = InteractionWriter::create(dir.path()).unwrap();
    let mut truth = TruthWriter::create(dir.path()).unwrap();
    let mut users = UserWriter::create(dir.path(), &[("age", FeatureType::TEXT)]).unwrap();
    for number in 0..count {
        items.write(item(number)).unwrap();
        let row = impression(number);
        truth
            .write(TruthRow {
                user_id: row.user_id.clone(),
                item_id: row.item_id.clone(),
                timestamp: row.timestamp,
                probability: 0.25,
            })
            .unwrap();
        interactions.write(row).unwrap();
        let features = BTreeMap::from([("age".to_owned(), format!("{}", number % 9).into())]);
        users.write(User { user_id: format!("u{number}").into(), features }).unwrap();
    }
    assert_eq!(items.finish().unwrap(), count as u64);
    assert_eq!(interactions.finish().unwrap(), count as u64);
    assert_eq!(truth.finish().unwrap(), count as u64);
    assert_eq!(users.finish().unwrap(), count as u64);

    let batches = folder.items().unwrap();
    assert_eq!(batches.rows(), count as u64);
    let read: Vec<DatasetItem> = batches.flat_map(Result::unwrap).collect();
    let expected = (0..count).map(|number| {
        let mut row = item(number);
        // Written beside a text, a number is one.
        row.item
            .features
            .entry("code".to_owned())
            .and_modify(|code| *code = code.to_string().into());
        row
    });
    assert_eq!(read, expected.collect::<Vec<_>>());

    let batches: Vec<Vec<InteractionRow>> =
        folder.interactions().unwrap().map(Result::unwrap).collect();
    assert!(batches.len() > 1, "the file is read in one piece");
    assert_eq!(batches.concat(), (0..count).map(impression).collect::<Vec<_>>());

    let plain = folder.interactions_without_requests().unwrap().flat_map(Result::unwrap).next();
    let expected = InteractionRow { request_id: None, position: None, ..impression(0) };
    assert_eq!(plain, Some(expected));

    let read = folder.users().unwrap().flat_map(Result::unwrap).count();
    assert_eq!(read, count);
    let read = folder.truth().unwrap().unwrap().flat_map(Result::unwrap).count();
    assert_eq!(read, count);
}

fn stocked(stock: FeatureValue) -> DatasetItem {
    let mut row = item(0);
    row.item.features = BTreeMap::from([("stock".to_owned(), stock)]);
    row
}

#[test]
fn an_unfinished_file_is_not_visible() {
    let (dir, folder) = folder();
    let mut items = ItemWriter::create(dir.path(), &columns()).unwrap();
    items.write(item(1)).unwrap();
    drop(items);
    assert!(!dir.path().join("items.parquet").exists());
    let message = folder.items().unwrap_err().to_string();
    assert!(message.contains("items.parquet") && message.contains("no such file"), "{message}");
}

#[test]
fn writers_refuse_what_readers_refuse() {
    let (dir, _folder) = folder();
    let mut items = ItemWriter::create(dir.path(), &[]).unwrap();
    let message = items.write(item(1)).unwrap_err().to_string();
    assert!(message.contains("`brand`"), "{message}");
    let mut typed = ItemWriter::create(dir.path(), &[("stock", FeatureType::TEXT)]).unwrap();
    typed.write(stocked(3.into())).unwrap();
    let many = FeatureValue::Numbers([3_i64.into()].into());
    let message = typed.write(stocked(many)).unwrap_err().to_string();
    assert!(message.contains("`stock`, row 1: is a list of numbers"), "{message}");
    let mut nameless = item(3);
    nameless.item.item_id = "".into();
    let message = items.write(nameless).unwrap_err().to_string();
    assert!(message.contains("`item_id`, row 0"), "{message}");
    assert!(ItemWriter::create(dir.path(), &[("title", FeatureType::TEXT)]).is_err());

    let mut interactions = InteractionWriter::create(dir.path()).unwrap();
    interactions.write(impression(15)).unwrap();
    let message = interactions.write(impression(5)).unwrap_err().to_string();
    assert!(message.contains("row 1") && message.contains("sort the rows"), "{message}");
}

#[test]
fn meta_keeps_unknown_keys_and_names_missing_ones() {
    let (dir, _folder) = folder();
    let mut meta = crate::common::meta();
    meta.more.insert("seed".to_owned(), 7.into());
    meta.write(dir.path()).unwrap();
    assert_eq!(plugrank_dataset::DatasetMeta::read(dir.path()).unwrap(), meta);

    fs::write(dir.path().join("dataset.json"), r#"{"name": "x", "time": "ms"}"#).unwrap();
    let message = plugrank_dataset::DatasetFolder::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("`negatives`") && message.contains("dataset.json"), "{message}");
}
