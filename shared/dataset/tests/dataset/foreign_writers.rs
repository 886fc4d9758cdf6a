//! Files of other writers: other types of the same meaning are read, unclear ones are refused.

use std::{fs, sync::Arc};

use crate::common::{folder, lists, numbers, problem, raw, text};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray, Float32Array,
    Float64Array, Int32Array, Int64Array, LargeStringArray, NullArray, StringViewArray,
    TimestampMicrosecondArray, UInt64Array, types::Int32Type,
};
use arrow_schema::{DataType, Field};
use plugrank_contract::User;

type Columns = Vec<(&'static str, ArrayRef)>;

fn valid() -> Columns {
    vec![
        ("user_id", text(&[Some("u1"), Some("u2")])),
        ("item_id", text(&[Some("i1"), Some("i2")])),
        ("timestamp", numbers(&[5, 6])),
        ("label", numbers(&[1, 0])),
    ]
}

/// `valid()` with one column replaced.
fn with(column: &'static str, array: ArrayRef) -> Columns {
    valid()
        .into_iter()
        .map(|(name, old)| (name, if name == column { array.clone() } else { old }))
        .collect()
}

#[test]
fn equivalent_arrow_types_are_read() {
    let (dir, folder) = folder();
    let dictionary: DictionaryArray<Int32Type> = ["i1", "i2"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user_id", Arc::new(LargeStringArray::from(vec!["u1", "u2"]))),
        ("item_id", Arc::new(dictionary)),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(vec![5_000, 6_000]))),
        ("label", Arc::new(BooleanArray::from(vec![true, false]))),
        ("request_id", Arc::new(NullArray::new(2))),
        ("position", Arc::new(Int32Array::from(vec![None, Some(3)]))),
        ("dwell_s", Arc::new(Float64Array::from(vec![0.5, 0.25]))),
    ];
    raw(dir.path(), "interactions.parquet", columns);
    let batches = folder.interactions().unwrap();
    assert_eq!(batches.ignored_columns(), ["dwell_s"]);
    let rows: Vec<_> = batches.flat_map(Result::unwrap).collect();
    let brief: Vec<_> = rows
        .iter()
        .map(|row| {
            (row.user_id.as_str(), row.item_id.as_str(), row.timestamp, row.clicked, row.position)
        })
        .collect();
    assert_eq!(brief, [("u1", "i1", 5, true, None), ("u2", "i2", 6, false, Some(3))]);

    let items: Vec<(&str, ArrayRef)> = vec![
        ("item_id", Arc::new(StringViewArray::from(vec!["i1", "i2"]))),
        ("title", text(&[Some("A"), None])),
        ("text", Arc::new(NullArray::new(2))),
        ("categories", lists(&[&["a", "b"], &[]])),
        ("brand", text(&[None, Some("x")])),
        ("price", Arc::new(Float64Array::from(vec![1.0, 2.5]))),
    ];
    raw(dir.path(), "items.parquet", items);
    let batches = folder.items().unwrap();
    assert!(batches.ignored_columns().is_empty());
    let rows: Vec<_> = batches.flat_map(Result::unwrap).collect();
    assert_eq!(rows[0].item.categories, ["a", "b"]);
    let brief = |row: usize| {
        let features = rows[row].item.features.iter();
        features.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>()
    };
    assert_eq!([brief(0), brief(1)], [vec!["price 1"], vec!["brand x", "price 2.5"]]);
    assert_eq!((rows[1].item.title.as_str(), rows[1].item.created_at), ("", None));
}

#[test]
fn errors_name_file_column_row_and_fix() {
    let cases: Vec<(Columns, &[&str])> = vec![
        (with("item_id", text(&[Some("i1"), None])), &["`item_id`, row 1", "null"]),
        (with("user_id", text(&[Some(""), Some("u2")])), &["`user_id`, row 0", "empty"]),
        (with("user_id", numbers(&[1, 2])), &["`user_id` is Int64", "string"]),
        (with("label", numbers(&[1, 2])), &["`label`, row 1", "is 2", "1 for a click"]),
        (
            with("label", Arc::new(Float64Array::from(vec![1.0, 0.0]))),
            &["`label` is Float64", "int8"],
        ),
        (with("timestamp", numbers(&[6, 5])), &["`timestamp`, row 1", "sort the rows"]),
        (with("timestamp", Arc::new(NullArray::new(2))), &["`timestamp`, row 0", "null"]),
        (valid().into_iter().skip(1).collect(), &["`user_id` is missing", "string"]),
        (
            valid().into_iter().chain([("position", numbers(&[0, -1]))]).collect(),
            &["`position`, row 1", "from 0"],
        ),
        (
            valid().into_iter().chain([("label", numbers(&[0, 1]))]).collect(),
            &["several columns `label`", "keep one"],
        ),
    ];
    for (columns, expected) in cases {
        let (dir, folder) = folder();
        raw(dir.path(), "interactions.parquet", columns);
        let message = problem(folder.interactions());
        assert!(message.contains("interactions.parquet"), "{message}");
        for part in expected {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

#[test]
fn a_repeated_item_is_named() {
    let (dir, folder) = folder();
    let columns = vec![
        ("item_id", text(&[Some("i1"), Some("i7"), Some("i7")])),
        ("title", text(&[None, None, None])),
        ("text", text(&[None, None, None])),
        ("categories", lists(&[&[], &[], &[]])),
    ];
    raw(dir.path(), "items.parquet", columns);
    let message = problem(folder.items());
    assert!(message.contains("row 2") && message.contains("`i7` comes twice"), "{message}");
}

#[test]
fn a_damaged_file_is_named() {
    let (dir, folder) = folder();
    raw(dir.path(), "users.parquet", vec![("user_id", text(&[Some("u1"), Some("u2")]))]);
    let path = dir.path().join("users.parquet");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let message = problem(folder.users());
    assert!(message.contains("users.parquet: not a readable parquet file"), "{message}");

    // A damaged page shows when the rows are read.
    let mut damaged = whole.clone();
    damaged[4..30].fill(0xff);
    fs::write(&path, damaged).unwrap();
    assert!(problem(folder.users()).contains("users.parquet"));

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(problem(folder.users()).contains("users.parquet"));
}

/// `users.parquet` with one column beside the ids, of which the third row is null.
fn profiles(column: ArrayRef) -> Result<Vec<Option<String>>, String> {
    let (dir, folder) = folder();
    let ids = text(&[Some("u1"), Some("u2"), Some("u3")]);
    raw(dir.path(), "users.parquet", vec![("user_id", ids), ("x", column)]);
    let users = folder.users().map_err(|error| error.to_string())?;
    assert!(users.ignored_columns().is_empty());
    let users = users.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let shown = |user: &User| user.features.get("x").map(ToString::to_string);
    Ok(users.concat().iter().map(shown).collect())
}

#[test]
fn additional_columns_are_typed_values() {
    let list = |entry: DataType, array: ArrayRef| -> ArrayRef {
        let field = Field::new("element", entry, true).into();
        let fixed = FixedSizeListArray::new(field, 2, array, Some(vec![true, true, false].into()));
        Arc::new(fixed)
    };
    let dictionary: DictionaryArray<Int32Type> = [Some("a"), Some("b"), None].into_iter().collect();
    let decimal = |scale, values: [Option<i128>; 3]| -> ArrayRef {
        let array = Decimal128Array::from(values.to_vec());
        Arc::new(array.with_precision_and_scale(30, scale).unwrap())
    };
    let columns: Vec<(ArrayRef, [Option<&str>; 2])> = vec![
        (text(&[Some("red"), Some(""), None]), [Some("red"), None]),
        (Arc::new(dictionary), [Some("a"), Some("b")]),
        (
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            [Some("true"), Some("false")],
        ),
        (
            Arc::new(Int64Array::from(vec![Some(9_007_199_254_740_993), Some(-3), None])),
            [Some("9007199254740993"), Some("-3")],
        ),
        (
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), None])),
            [Some("18446744073709551615"), Some("0")],
        ),
        (Arc::new(Float32Array::from(vec![Some(0.5), Some(f32::NAN), None])), [Some("0.5"), None]),
        (
            Arc::new(Float64Array::from(vec![Some(0.1), Some(-2.0), None])),
            [Some("0.1"), Some("-2")],
        ),
        (decimal(2, [Some(1_999), Some(500), None]), [Some("19.99"), Some("5")]),
        (
            decimal(0, [Some(i128::from(u64::MAX)), Some(-7), None]),
            [Some("18446744073709551615"), Some("-7")],
        ),
        (
            list(DataType::Utf8, text(&[Some("a"), None, None, Some(""), Some("c"), None])),
            [Some("[a]"), None],
        ),
        (
            list(
                DataType::Float64,
                Arc::new(Float64Array::from(vec![0.5, f64::NAN, f64::NAN, f64::NAN, 1.0, 2.0])),
            ),
            [Some("[0.5]"), None],
        ),
        (
            list(
                DataType::Boolean,
                Arc::new(BooleanArray::from(vec![true, false, true, true, true, true])),
            ),
            [Some("[true, false]"), Some("[true, true]")],
        ),
    ];
    for (column, [first, second]) in columns {
        let found = profiles(Arc::clone(&column)).unwrap();
        let expected = [first, second, None].map(|value| value.map(str::to_owned));
        assert_eq!(found, expected, "{}", column.data_type());
    }
}

#[test]
fn a_non_finite_number_is_named_by_its_row() {
    let column = Float64Array::from(vec![1.0, f64::INFINITY, 0.0]);
    let message = profiles(Arc::new(column)).unwrap_err();
    assert!(message.contains("`x`, row 1: is inf; a number is finite"), "{message}");
}
