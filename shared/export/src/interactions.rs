//! `interactions.parquet`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use plugrank_dataset::{
    InteractionColumns, InteractionDetails, InteractionRow, InteractionWriter, TableTarget,
};
use plugrank_store::Store;

use crate::{
    ExportError, ExportOptions, ExportReport, ExportWatch,
    behaviour::Behaviour,
    catalog::{Items, note},
    requests::{Requests, Shown},
};

/// Rows between two words of progress.
const ROWS: usize = 8_192;

/// Writes each row with what the logs of events and served lists say of it.
pub(crate) async fn write(
    store: &Arc<dyn Store>,
    target: TableTarget,
    (behaviour, items): (&Behaviour, &Items),
    options: &ExportOptions,
    watch: &dyn ExportWatch,
    report: &mut ExportReport,
) -> Result<(), ExportError> {
    let tasks = options.task_names();
    let mut requests = Requests::new(behaviour, items, options, &tasks);
    requests.read(store, options.range, watch).await?;
    let Requests { mut rows, reserved, .. } = requests;
    report.with_request = count(&rows, |shown| shown.request_id.is_some());
    report.with_position = count(&rows, |shown| shown.position.is_some());
    report.reserved_features = reserved.into_iter().collect();
    let mut features = BTreeMap::new();
    rows.values().for_each(|shown| note(&mut features, &shown.features));
    let columns = InteractionColumns {
        tasks: tasks.clone(),
        shown: true,
        features: features.into_iter().collect(),
    };
    watch.begin("interactions", Some(behaviour.len() as u64));
    let mut file = InteractionWriter::with_columns(target, columns)?;
    for (at, row) in behaviour.interactions(items).enumerate() {
        if at % ROWS == 0 && at > 0 {
            watch.advance(ROWS as u64).await?;
        }
        let logged = rows.remove(&at);
        // What the log of events does not have may have led to anything.
        let label = |task| logged.as_ref().map(|shown| shown.tasks.contains(&task));
        let labels = (0..tasks.len()).map(label).collect();
        let Shown { request_id, position, surface, propensity, features, .. } =
            logged.unwrap_or_default();
        let request_id = request_id.as_deref().map(str::to_owned);
        let details = InteractionDetails { labels, surface, propensity, features };
        file.write_detailed(InteractionRow { request_id, position, ..row }, details)?;
    }
    file.finish()?;
    watch.end();
    Ok(())
}

fn count(rows: &HashMap<usize, Shown>, which: impl Fn(&Shown) -> bool) -> u64 {
    rows.values().filter(|shown| which(shown)).count() as u64
}
