//! A dataset folder of what a running server holds.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{Array, cast::AsArray};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use plugrank_dataset::Negatives;
use plugrank_export::{ExportOptions, ExportTable, write_dataset_json};
use plugrank_store::TimeRange;
use serde::Serialize;

use crate::{
    load::Progress,
    server_client::{ServerClient, escaped},
};

/// Rows that were written.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Downloaded {
    pub(crate) items: u64,
    pub(crate) images: u64,
    pub(crate) users: u64,
    pub(crate) interactions: u64,
    pub(crate) exposures: u64,
}

/// Downloads all tables and images into a new folder.
///
/// # Errors
/// When the folder is there, the server refuses, or an answer breaks off.
pub(crate) fn download(
    server: &ServerClient,
    folder: &Path,
    options: &ExportOptions,
    progress: &Progress,
) -> Result<Downloaded> {
    let occupied = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let shown = folder.display();
    ensure!(!occupied, "{shown} is not empty; name a folder that is, or is not there yet");
    fs::create_dir_all(folder).with_context(|| format!("{shown} cannot be made"))?;
    let time = of_time(options.range);
    // Items last: those that an interaction names, and that came since, are there too.
    let table = |table: ExportTable| {
        let bar = progress.count(table.as_str());
        let partial = folder.join(format!("{table}.partial"));
        let mut file = File::create(&partial)?;
        server.download(&format!("/v1/export?what={table}{time}"), &mut file)?;
        file.sync_all()?;
        let whole = folder.join(table.file());
        let rows = rows(&partial).with_context(|| format!("{table} did not come whole"))?;
        fs::rename(&partial, &whole)?;
        bar.finish();
        Ok::<u64, anyhow::Error>(rows)
    };
    let mut downloaded = Downloaded {
        interactions: table(ExportTable::Interactions)?,
        users: table(ExportTable::Users)?,
        exposures: table(ExportTable::Exposures)?,
        items: table(ExportTable::Items)?,
        images: 0,
    };
    downloaded.images = images(server, folder, progress)?;
    let about = server.get(&format!("/v1/export?what=dataset{time}"))?;
    let negatives: Negatives = serde_json::from_value(about["negatives"].clone())
        .context("the server does not say where negatives come from")?;
    // Last, so that a folder that has it is whole.
    write_dataset_json(folder, options, negatives)?;
    Ok(downloaded)
}

fn of_time(range: TimeRange) -> String {
    let mut query = String::new();
    // Writing to a string cannot fail.
    if range.from != TimeRange::ALL.from {
        let _ = write!(query, "&from={}", range.from);
    }
    if range.to != TimeRange::ALL.to {
        let _ = write!(query, "&to={}", range.to);
    }
    query
}

fn rows(path: &Path) -> Result<u64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    Ok(u64::try_from(reader.metadata().file_metadata().num_rows())?)
}

/// Downloads each image that the items name; how many items have one.
fn images(server: &ServerClient, folder: &Path, progress: &Progress) -> Result<u64> {
    let file = File::open(folder.join(ExportTable::Items.file()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let columns = ProjectionMask::columns(reader.parquet_schema(), ["item_id", "image"]);
    let (mut kept, mut pictured) = (HashSet::new(), 0);
    let bar = progress.count("images");
    for batch in reader.with_projection(columns).build()? {
        let batch = batch?;
        let column = |name: &str| batch.column_by_name(name).context("a column is missing");
        let (ids, paths) = (column("item_id")?, column("image")?);
        let (ids, paths) = (ids.as_string::<i32>(), paths.as_string::<i32>());
        for row in (0..batch.num_rows()).filter(|row| paths.is_valid(*row)) {
            pictured += 1;
            let path = paths.value(row);
            if !kept.insert(path.to_owned()) {
                continue;
            }
            let to = folder.join(inside(path)?);
            fs::create_dir_all(to.parent().unwrap_or(folder))?;
            let id = escaped(ids.value(row));
            server.download(&format!("/v1/items/{id}/image"), &mut File::create(&to)?)?;
            bar.inc(1);
        }
    }
    bar.finish();
    Ok(pictured)
}

/// The path of an image, as long as it leads into the folder `images` alone.
fn inside(path: &str) -> Result<&str> {
    let plain = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            && !name.starts_with('.')
    };
    match path.strip_prefix("images/") {
        Some(name) if !name.is_empty() && plain(name) => Ok(path),
        _ => bail!("the server names an image `{path}`, which is no file of the folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_paths_outside_their_folder_are_refused() {
        assert!(inside("images/0af1.png").is_ok());
        for path in ["/etc/passwd", "images/../x.png", "images/.x", "images/", "images/a/b.png"] {
            assert!(inside(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_time_range_is_in_the_query() {
        assert_eq!(of_time(TimeRange::ALL), "");
        assert_eq!(of_time(TimeRange { from: 5, to: 9 }), "&from=5&to=9");
    }
}
