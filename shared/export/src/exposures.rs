//! `exposures.parquet`.

use std::sync::Arc;

use plugrank_dataset::{ExposureWriter, TableTarget};
use plugrank_store::Store;

use crate::{ExportError, ExportOptions, ExportReport, ExportWatch};

/// Lists that are read at a time.
pub(crate) const LISTS: usize = 1_000;

/// Writes the served lists of the time asked for.
pub(crate) async fn write(
    store: &Arc<dyn Store>,
    target: TableTarget,
    options: &ExportOptions,
    watch: &dyn ExportWatch,
    report: &mut ExportReport,
) -> Result<(), ExportError> {
    watch.begin("served lists", None);
    let mut file = ExposureWriter::create(target)?;
    let mut from = None;
    loop {
        let page = store.scan_exposures(options.range, from, LISTS).await?;
        let lists = page.entries.len() as u64;
        for exposure in page.entries {
            file.write(exposure)?;
        }
        watch.advance(lists).await?;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    report.exposures = file.finish()?;
    watch.end();
    Ok(())
}
