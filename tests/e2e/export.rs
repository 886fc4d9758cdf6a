//! `plugrank export`: what was loaded comes out as it went in.

use std::{fs, path::Path};

use plugrank_dataset::{DatasetFolder, DatasetItem, InteractionRow};
use tempfile::TempDir;

use super::site::{loaded, plugrank, repository, settings, stderr};

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
fn an_exported_shop_is_the_one_that_was_loaded() {
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
    // Nothing is written over.
    let again = export();
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is not empty; name a folder that is"), "{}", stderr(&again));
}
