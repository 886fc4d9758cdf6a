//! Columns, types and compression of the files as they are written: other programs read them too.

use std::{collections::BTreeMap, fs::File, path::Path};

use crate::round_trip::{columns, impression, item};
use arrow_array::{Array, BinaryArray, ListArray, StringArray, cast::AsArray};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, basic::Compression};
use plugrank_contract::{ExposedArm, ExposedItem, Exposure, FeatureValues, User};
use plugrank_dataset::{
    ExposureWriter, FeatureType, InteractionColumns, InteractionDetails, InteractionWriter,
    ItemWriter, TruthRow, TruthWriter, UserWriter,
};

/// `name type`, with `?` where a column may be null; every column is compressed by Snappy.
fn written(folder: &Path, file: &str) -> Vec<String> {
    let file = File::open(folder.join(file)).expect("the file was written");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is parquet");
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            assert_eq!(column.compression(), Compression::SNAPPY, "{}", column.column_path());
        }
    }
    let column = |field: &arrow_schema::FieldRef| {
        let mark = if field.is_nullable() { "?" } else { "" };
        let of_list = |entry: &arrow_schema::FieldRef| {
            let mark = if entry.is_nullable() { "?" } else { "" };
            format!("List({} {}{mark})", entry.name(), entry.data_type())
        };
        let data_type = match field.data_type() {
            arrow_schema::DataType::List(entry) => of_list(entry),
            plain => plain.to_string(),
        };
        format!("{} {data_type}{mark}", field.name())
    };
    reader.schema().fields().iter().map(column).collect()
}

#[test]
fn items_and_users() {
    let dir = tempfile::tempdir().unwrap();
    let mut items = ItemWriter::create(dir.path(), &columns()).unwrap();
    (0..10).for_each(|number| items.write(item(number)).unwrap());
    items.finish().unwrap();
    assert_eq!(
        written(dir.path(), "items.parquet"),
        [
            "item_id Utf8",
            "title Utf8",
            "text Utf8",
            "categories List(item Utf8?)",
            "image Utf8?",
            "created_at Int64?",
            "available Boolean",
            "brand Utf8?",
            "stock Int64?",
            "hash UInt64?",
            "price Float64?",
            "tags List(item Utf8?)?",
            "sizes List(item Float64?)?",
            "code Utf8?",
        ]
    );
    let age = ("age", FeatureType::from_value(&3.into()));
    let mut users = UserWriter::create(dir.path(), &[age]).unwrap();
    let features = BTreeMap::from([("age".to_owned(), 3.into())]);
    users.write(User { user_id: "u1".into(), features }).unwrap();
    users.finish().unwrap();
    assert_eq!(written(dir.path(), "users.parquet"), ["user_id Utf8", "age Int64?"]);
}

#[test]
fn interactions_and_truth() {
    let dir = tempfile::tempdir().unwrap();
    let mut plain = InteractionWriter::create(dir.path()).unwrap();
    plain.write(impression(3)).unwrap();
    plain.finish().unwrap();
    let own = [
        "user_id Utf8",
        "item_id Utf8",
        "timestamp Int64",
        "label Int8",
        "request_id Utf8?",
        "position Int32?",
        "action Utf8?",
        "value Float64?",
    ];
    assert_eq!(written(dir.path(), "interactions.parquet"), own);

    let columns = InteractionColumns {
        tasks: vec!["purchase".to_owned(), "like".to_owned()],
        shown: true,
        features: vec![("basket".to_owned(), FeatureType::from_value(&3.into()))],
    };
    let mut detailed = InteractionWriter::with_columns(dir.path(), columns).unwrap();
    let details = InteractionDetails {
        labels: vec![Some(true), None],
        surface: Some("home".to_owned()),
        propensity: Some(0.5),
        features: FeatureValues::from([("basket".to_owned(), 4.into())]),
    };
    detailed.write_detailed(impression(3), details).unwrap();
    detailed.write(impression(13)).unwrap();
    detailed.finish().unwrap();
    let further = [
        "label_purchase Int8?",
        "label_like Int8?",
        "surface Utf8?",
        "propensity Float32?",
        "basket Int64?",
    ];
    assert_eq!(written(dir.path(), "interactions.parquet"), [&own[..], &further].concat());

    let mut truth = TruthWriter::create(dir.path()).unwrap();
    let row = impression(3);
    let (user_id, item_id, timestamp) = (row.user_id, row.item_id, row.timestamp);
    truth.write(TruthRow { user_id, item_id, timestamp, probability: 0.5 }).unwrap();
    truth.finish().unwrap();
    let columns = ["user_id Utf8", "item_id Utf8", "timestamp Int64", "probability Float32"];
    assert_eq!(written(dir.path(), "truth.parquet"), columns);
}

fn list(request_id: &str, items: usize) -> Exposure {
    let item = |at: usize| ExposedItem {
        item_id: format!("i{at}").into(),
        score: Some(0.5),
        ctr: None,
        scores: vec![0.25, 0.125],
        propensity: None,
        features: FeatureValues::from([("bid".to_owned(), (at as i64).into())]),
    };
    Exposure {
        request_id: request_id.to_owned(),
        timestamp: 1_700_000_000_000,
        user_id: "u1".into(),
        surface: None,
        arms: vec![ExposedArm {
            layer: "l".to_owned(),
            experiment: "e".to_owned(),
            arm: "a".to_owned(),
        }],
        forced_arms: true,
        bundle: Some("b".to_owned()),
        rung: "full".to_owned(),
        degraded: false,
        late: true,
        failed: false,
        coverage: 0.75,
        features: FeatureValues::new(),
        tasks: vec!["click".to_owned(), "buy".to_owned()],
        items: (0..items).map(item).collect(),
        rerank: vec![0, 255, 7],
    }
}

#[test]
fn exposures() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = ExposureWriter::create(dir.path()).unwrap();
    writer.write(list("r1", 2)).unwrap();
    writer.write(list("r2", 0)).unwrap();
    assert_eq!(writer.finish().unwrap(), 3, "a list without items has a row too");
    assert_eq!(
        written(dir.path(), "exposures.parquet"),
        [
            "request_id Utf8",
            "timestamp Int64",
            "user_id Utf8",
            "surface Utf8?",
            "arms List(item Utf8?)",
            "forced Boolean",
            "bundle Utf8?",
            "rung Utf8",
            "degraded Boolean",
            "late Boolean",
            "failed Boolean",
            "coverage Float32",
            "request_features Utf8?",
            "item_id Utf8?",
            "position Int32?",
            "score Float32?",
            "ctr Float32?",
            "scores Utf8?",
            "propensity Float32?",
            "item_features Utf8?",
            "rerank Binary?",
        ]
    );
    let file = File::open(dir.path().join("exposures.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is parquet");
    let rows = reader.build().unwrap().next().unwrap().unwrap();
    let texts = |name: &str| -> Vec<Option<String>> {
        let column: &StringArray = rows.column_by_name(name).unwrap().as_string();
        column.iter().map(|text| text.map(str::to_owned)).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts("item_id"), [some("i0"), some("i1"), None]);
    let scores = || some(r#"{"buy":0.125,"click":0.25}"#);
    assert_eq!(texts("scores"), [scores(), scores(), None]);
    assert_eq!(texts("item_features"), [some(r#"{"bid":0}"#), some(r#"{"bid":1}"#), None]);
    assert_eq!(texts("request_features"), [None, None, None]);
    let rerank: &BinaryArray = rows.column_by_name("rerank").unwrap().as_binary();
    let once: Vec<_> = rerank.iter().collect();
    assert_eq!(once, [Some(&[0, 255, 7][..]), None, Some(&[0, 255, 7])], "once a list");
    let arms: &ListArray = rows.column_by_name("arms").unwrap().as_list();
    let of_last = arms.value(2);
    let of_last: &StringArray = of_last.as_string();
    assert_eq!((of_last.len(), of_last.value(0)), (1, "e=a"));
}
