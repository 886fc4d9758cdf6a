//! The requests that showed what users did: from the logs of events and exposures.

use std::{collections::HashMap, sync::Arc};

use plugrank_store::{Store, TimeRange};

use super::{
    ExportError, PAGE,
    behaviour::{Behaviour, Request},
    catalog::Items,
};
use crate::load::Progress;

/// Requests by row. An event that does not say its position has that of the served list.
pub(super) async fn read(
    store: &Arc<dyn Store>,
    behaviour: &Behaviour,
    items: &Items,
    progress: &Progress,
) -> Result<HashMap<usize, Request>, ExportError> {
    let bar = progress.count("events");
    let mut requests: HashMap<usize, Request> = HashMap::new();
    // Rows without a position, by their request.
    let mut unplaced: HashMap<String, Vec<(usize, u32)>> = HashMap::new();
    let mut from = None;
    loop {
        let page = store.scan_events(TimeRange::ALL, from, PAGE).await?;
        bar.inc(page.entries.len() as u64);
        for event in page.entries {
            let Some(id) = event.request_id else { continue };
            let Some(item) = items.numbers.get(&event.item_id).copied() else { continue };
            let Some(row) = behaviour.row(&event.user_id, item, event.timestamp) else { continue };
            let position = event.position.and_then(|position| position.checked_sub(1));
            if position.is_none() {
                unplaced.entry(id.clone()).or_default().push((row, item));
            }
            requests.insert(row, Request { id, position });
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    bar.finish();
    let bar = progress.count("exposures");
    while !unplaced.is_empty() {
        let page = store.scan_exposures(TimeRange::ALL, from, PAGE / 10).await?;
        bar.inc(page.entries.len() as u64);
        for exposure in page.entries {
            let Some(rows) = unplaced.get(&exposure.request_id) else { continue };
            for (row, item) in rows {
                let shown = |id| items.numbers.get(id) == Some(item);
                let place = exposure.items.iter().position(|shown_item| shown(&shown_item.item_id));
                if let Some(request) = requests.get_mut(row) {
                    request.position = place.map(|place| place as u32);
                }
            }
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    bar.finish();
    Ok(requests)
}
