//! What is written is what is read.

use std::{collections::BTreeMap, fs};

use crate::common::folder;
use plugrank_contract::{Item, User};
use plugrank_dataset::{
    InteractionRow, InteractionWriter, ItemRow, ItemWriter, TruthRow, TruthWriter, UserWriter,
};

fn item(number: usize) -> ItemRow {
    let brand =
        (!number.is_multiple_of(3)).then(|| ("brand".to_owned(), format!("b{}", number % 3)));
    ItemRow {
        item: Item {
            item_id: format!("i{number}").into(),
            title: format!("Oak table {number}"),
            text: if number.is_multiple_of(2) { String::new() } else { "Für vier.".to_owned() },
            categories: (0..number % 3).map(|level| format!("c{level}")).collect(),
            created_at: (!number.is_multiple_of(5)).then_some(1_700_000_000_000 + number as i64),
            available: true,
            image_hash: None,
            features: brand.into_iter().collect(),
        },
        image: number.is_multiple_of(4).then(|| format!("images/{number}.png")),
    }
}

fn impression(number: usize) -> InteractionRow {
    InteractionRow {
        user_id: format!("u{}", number / 10).into(),
        item_id: format!("i{}", 100 + number % 10).into(),
        timestamp: 1_700_000_000_000 + (number / 10) as i64,
        clicked: number.is_multiple_of(7),
        request_id: (number % 20 < 10).then(|| format!("r{}", number / 10)),
        position: (number % 20 < 10).then_some((number % 10) as u32),
    }
}

#[test]
fn rows_come_back_as_written_over_many_batches() {
    let (dir, folder) = folder();
    let count = 20_000;

    let mut items = ItemWriter::create(dir.path(), &["brand"]).unwrap();
    let mut interactions = InteractionWriter::create(dir.path()).unwrap();
    let mut truth = TruthWriter::create(dir.path()).unwrap();
    let mut users = UserWriter::create(dir.path(), &["age"]).unwrap();
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
        let features = BTreeMap::from([("age".to_owned(), format!("{}", number % 9))]);
        users.write(User { user_id: format!("u{number}").into(), features }).unwrap();
    }
    assert_eq!(items.finish().unwrap(), count as u64);
    assert_eq!(interactions.finish().unwrap(), count as u64);
    assert_eq!(truth.finish().unwrap(), count as u64);
    assert_eq!(users.finish().unwrap(), count as u64);

    let batches = folder.items().unwrap();
    assert_eq!(batches.rows(), count as u64);
    let read: Vec<ItemRow> = batches.flat_map(Result::unwrap).collect();
    assert_eq!(read, (0..count).map(item).collect::<Vec<_>>());

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

#[test]
fn an_unfinished_file_does_not_look_whole() {
    let (dir, folder) = folder();
    let mut items = ItemWriter::create(dir.path(), &["brand"]).unwrap();
    items.write(item(1)).unwrap();
    drop(items);
    assert!(!dir.path().join("items.parquet").exists());
    let message = folder.items().unwrap_err().to_string();
    assert!(message.contains("items.parquet") && message.contains("no such file"), "{message}");
}

#[test]
fn writers_refuse_what_readers_would() {
    let (dir, _folder) = folder();
    let mut items = ItemWriter::create(dir.path(), &[]).unwrap();
    let message = items.write(item(1)).unwrap_err().to_string();
    assert!(message.contains("`brand`"), "{message}");
    let mut nameless = item(3);
    nameless.item.item_id = "".into();
    let message = items.write(nameless).unwrap_err().to_string();
    assert!(message.contains("`item_id`, row 0"), "{message}");
    assert!(ItemWriter::create(dir.path(), &["title"]).is_err());

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
