//! `plugrank load`: a dataset folder into the store.

mod catalog;
mod co_visitation;
mod columns;
mod interactions;
mod progress;
mod report;
#[cfg(test)]
mod tests;
mod writers;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_contract::TimestampMs;
use plugrank_dataset::{DatasetError, DatasetFolder};
use plugrank_store::{Store, StoreError};

pub use columns::{Absent, ColumnLine, Reader, table};
pub use progress::Progress;
pub use report::{LoadPhase, LoadReport};

/// What is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// Only interactions strictly before this moment.
    pub until: Option<TimestampMs>,
    /// The bundle that is to rank it, where it is known.
    pub reader: Option<&'a Reader<'a>>,
    /// After how long a click counts half for the popularity of its item.
    pub popularity_half_life: Duration,
    /// After how long a click together counts half for its two items.
    pub co_visitation_half_life: Duration,
    /// Whether items that the store has as not available become what the folder says.
    pub restore_withdrawn: bool,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        Self {
            until: None,
            reader: None,
            popularity_half_life: month,
            co_visitation_half_life: month,
            restore_withdrawn: false,
        }
    }
}

/// Why a load ended. What was written before stays; a repeated load completes it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder is not what it should be.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The bundle reads columns that the data lacks.
    #[error("{}", told(.0))]
    Absent(Vec<Absent>),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A write ended before it was done.
    #[error("a write ended early: {0}")]
    Interrupted(String),
    /// There is more than the loader can count.
    #[error("{0}")]
    TooLarge(&'static str),
}

fn told(absent: &[Absent]) -> String {
    let lines = absent.iter().map(|Absent { file, column, feature }| {
        format!(
            "{file}: column `{column}` is absent, or without a value in any row; the bundle reads it \
             (feature `{feature}`). Name it so in the data, or accept that it is always missing: \
             --allow-absent {column}"
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What happens to the columns of a folder that the bundle is to rank, without loading any of it.
///
/// # Errors
/// When the folder is not what it should be, or lacks what the bundle reads.
pub fn survey(folder: &Path, reader: &Reader<'_>) -> Result<Vec<ColumnLine>, LoadError> {
    columns::survey(&DatasetFolder::checked(folder)?, Some(reader))
}

/// Loads items with their images, users, histories, item statistics and co-visitation. Every write
/// is keyed by what it writes, so a repeated load changes nothing. Statistics are only ever raised:
/// events counted since an earlier load stay counted, and a load with an earlier `until` does not
/// take away what a later one brought; for that, load into a new store.
///
/// # Errors
/// As [`LoadError`] says.
pub async fn load(
    store: Arc<dyn Store>,
    folder: &Path,
    options: LoadOptions<'_>,
    progress: &Progress,
) -> Result<LoadReport, LoadError> {
    let folder = DatasetFolder::checked(folder)?;
    let mut report = LoadReport::new(folder.meta().name.clone(), store.item_count().await?);

    let begun = Instant::now();
    report.columns = columns::survey(&folder, options.reader)?;
    report.phase("columns", report.columns.len() as u64, begun);

    let begun = Instant::now();
    let items = catalog::items(&store, &folder, options, progress, &mut report).await?;
    report.phase("items", report.items, begun);

    let begun = Instant::now();
    catalog::users(&store, &folder, progress, &mut report).await?;
    report.phase("users", report.users, begun);

    let begun = Instant::now();
    let counted =
        interactions::load(&store, &folder, &items, options, progress, &mut report).await?;
    report.phase("interactions", report.interactions, begun);

    let begun = Instant::now();
    let listed = interactions::write_counts(&store, &items, counted, progress).await?;
    report.phase("co-visitation", listed, begun);
    Ok(report)
}
