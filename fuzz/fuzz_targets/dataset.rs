//! Dataset folders: any bytes in the place of a table are rows or a problem that names the file.
#![no_main]

use std::{fs, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use plugrank_dataset::DatasetFolder;
use tempfile::TempDir;

const TABLES: [&str; 4] =
    ["items.parquet", "users.parquet", "interactions.parquet", "truth.parquet"];

static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder for temporary files"));

fuzz_target!(|input: &[u8]| {
    let Some((table, bytes)) = input.split_first() else { return };
    let table = usize::from(*table) % (TABLES.len() + 1);
    let root = FOLDER.path();
    let name = TABLES.get(table).copied().unwrap_or("dataset.json");
    for other in TABLES.iter().copied().chain(["dataset.json"]) {
        let _ = fs::remove_file(root.join(other));
    }
    fs::write(root.join(name), bytes).expect("the folder is ours");
    let Ok(folder) = DatasetFolder::open(root) else { return };
    let _ = folder.problems();
});
