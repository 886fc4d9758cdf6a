//! `plugrank replay --lists`: re-ranks logged requests again.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type};
use futures::FutureExt;
use plugrank_contract::{
    Context,
    reranking::{Rerank, Reranked},
};
use plugrank_reranking::{RerankingParts, RerankingService};
use plugrank_store::codec;
use plugrank_transport::Service;
use serde::Serialize;

use super::exposures::{Exposures, texts};
use crate::Settings;

/// Lists that differ and are named.
const NAMED: usize = 20;
/// How far a propensity may be off: what is printed of it, and no more.
const TOLERANCE: f32 = 1e-5;

/// What re-ranking again came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayedLists {
    /// Lists that were logged in full.
    pub lists: u64,
    /// Those that come out as they were served, item by item, with the same propensities.
    pub same: u64,
    /// Requests whose lists do not, the first twenty.
    pub different: Vec<String>,
}

/// A served list.
struct Served {
    request_id: String,
    call: Vec<u8>,
    items: Vec<(String, Option<f32>)>,
}

/// Re-ranks the lists of a file by the settings.
///
/// # Errors
/// A file that cannot be read or is no export, a call that another version logged, and a surface that the settings
/// do not have.
pub fn replay_lists(file: &Path, settings: &Settings) -> Result<ReplayedLists> {
    let exposures = Exposures::open(file)?;
    for column in ["request_id", "item_id", "propensity", "rerank"] {
        let shown = file.display();
        ensure!(
            exposures.has(column),
            "{shown} has no column {column}; `plugrank export` writes it"
        );
    }
    let parts = RerankingParts {
        items: None,
        options: settings.reranking.clone(),
        surfaces: settings.surface_rules(),
    };
    let service = RerankingService::new(parts)?;
    let (mut found, mut list) = (ReplayedLists::default(), None);
    for batch in exposures {
        add(&batch?, &mut list, |served| found.add(&served, &service))?;
    }
    if let Some(served) = list {
        found.add(&served, &service)?;
    }
    Ok(found)
}

/// Goes through the rows, those of a list one after another; `done` gets each list that is over.
fn add(
    batch: &RecordBatch,
    list: &mut Option<Served>,
    mut done: impl FnMut(Served) -> Result<()>,
) -> Result<()> {
    let (requests, items) = (texts(batch, "request_id")?, texts(batch, "item_id")?);
    let (requests, items) = (requests.as_string::<i32>(), items.as_string::<i32>());
    let column = |name: &str| batch.column_by_name(name).context("a column is gone");
    let (calls, propensities) = (column("rerank")?, column("propensity")?);
    let calls = calls.as_binary_opt::<i32>().context("the column rerank holds no bytes")?;
    let propensities = propensities
        .as_primitive_opt::<Float32Type>()
        .context("the column propensity holds no float32")?;
    for row in 0..batch.num_rows() {
        let request_id = requests.value(row);
        if calls.is_valid(row) || list.as_ref().is_some_and(|list| list.request_id != request_id) {
            list.take().map_or(Ok(()), &mut done)?;
        }
        if calls.is_valid(row) {
            let call = calls.value(row).to_vec();
            *list = Some(Served { request_id: request_id.to_owned(), call, items: Vec::new() });
        }
        if let Some(list) = list.as_mut().filter(|_| items.is_valid(row)) {
            let propensity = propensities.is_valid(row).then(|| propensities.value(row));
            list.items.push((items.value(row).to_owned(), propensity));
        }
    }
    Ok(())
}

impl ReplayedLists {
    fn add(&mut self, served: &Served, service: &RerankingService) -> Result<()> {
        let id = &served.request_id;
        let call: Rerank = codec::decode(&served.call).with_context(|| {
            format!("request {id} was logged by another version, or the file is damaged")
        })?;
        let items = call.items.clone();
        // It waits for nothing, so that it is done at once.
        let reply: Reranked = service
            .call(Context::background(), call)
            .now_or_never()
            .context("re-ranking waits for something")?
            .with_context(|| format!("request {id} cannot be re-ranked"))?;
        let near = |a: Option<f32>, b: Option<f32>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE,
            (a, b) => a == b,
        };
        let same = reply.places.len() == served.items.len()
            && reply.places.iter().zip(&served.items).all(|(place, (item, propensity))| {
                let placed = items.id_at(place.candidate as usize);
                placed.is_some_and(|id| id.as_str() == item) && near(place.propensity, *propensity)
            });
        self.lists += 1;
        self.same += u64::from(same);
        if !same && self.different.len() < NAMED {
            self.different.push(id.clone());
        }
        Ok(())
    }
}

/// What was found, for people.
#[must_use]
pub fn lists_report(found: &ReplayedLists) -> String {
    let ReplayedLists { lists, same, different } = found;
    let mut text = format!("{same} of {lists} lists come out as they were served\n");
    for id in different {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  differs: request {id}");
    }
    if *lists == 0 {
        text.push_str("  none was logged in full: see exposures.full_share\n");
    }
    text
}
