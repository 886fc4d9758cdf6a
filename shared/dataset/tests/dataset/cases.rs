//! Folders as other writers make them, valid and invalid ones; training's tests read the same.

use std::{collections::BTreeMap, fs, path::Path};

use plugrank_dataset::{DatasetError, DatasetFolder};

#[test]
fn every_case_is_read_or_refused_as_training_does() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let text = fs::read_to_string(home.join("cases.json")).unwrap();
    let expected: BTreeMap<String, Vec<String>> = serde_json::from_str(&text).unwrap();
    assert!(expected.len() > 50, "{}", expected.len());
    let wrong: Vec<String> = expected
        .iter()
        .filter_map(|(name, expected)| {
            let found = problems(&home.join(name));
            (found != *expected).then(|| format!("{name}: {found:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `file column rule` of all that is wrong, sorted.
fn problems(folder: &Path) -> Vec<String> {
    match DatasetFolder::checked(folder) {
        Ok(_) => Vec::new(),
        Err(DatasetError::Problems(found)) => {
            let mut keys: Vec<String> = found
                .keys()
                .map(|(file, column, rule)| format!("{file} {column} {rule}"))
                .collect();
            keys.sort();
            keys
        }
        Err(error) => vec![format!("dataset.json  {}", error.rule())],
    }
}

#[test]
fn all_problems_are_reported_with_counts_and_first_rows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/many_problems");
    let message = DatasetFolder::checked(&folder).unwrap_err().to_string();
    for part in [
        "the dataset folder has 7 problems:",
        "items.parquet: column `item_id`, row 1: is null",
        "users.parquet: column `user_id`, row 1: `u1` comes twice",
        "interactions.parquet: column `label`, row 1: is 2; write 1 for a click",
        "(4 such rows: 1, 3, 5, ...)",
    ] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn unavailable_items_stay_unavailable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/available");
    let folder = DatasetFolder::checked(&folder).unwrap();
    let items = folder.items().unwrap();
    assert!(items.ignored_columns().is_empty());
    let items: Vec<_> = items.flat_map(Result::unwrap).map(|row| row.item).collect();
    let available: Vec<bool> = items.iter().map(|item| item.available).collect();
    assert_eq!(available, [true, false, true, true]);
    assert!(items.iter().all(|item| item.features.contains_key("stock")), "{items:?}");
}

#[test]
fn parts_are_read_in_order() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let ids = |case: &str| -> Vec<String> {
        let items = DatasetFolder::open(&home.join(case)).unwrap().items().unwrap();
        items.flat_map(Result::unwrap).map(|row| row.item.item_id.as_str().to_owned()).collect()
    };
    assert_eq!(ids("spark_parts"), ids("plain"));
}
