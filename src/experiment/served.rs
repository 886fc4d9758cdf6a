//! Lists that were logged in full, as an export's `exposures.parquet` has them.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use arrow_array::{Array, RecordBatch, StringArray, cast::AsArray, types::Float32Type};
use plugrank_contract::reranking::Rerank;
use plugrank_reranking::{RerankingParts, RerankingService};
use plugrank_store::codec;

use super::exposures::{Exposures, flags, texts};
use crate::Settings;

/// Columns that are read.
const COLUMNS: [&str; 8] = [
    "request_id",
    "user_id",
    "item_id",
    "forced",
    "request_features",
    "item_features",
    "propensity",
    "rerank",
];

/// A list that was served.
pub(super) struct Served {
    pub(super) request_id: String,
    pub(super) user_id: String,
    /// Whether the request named its arm, model or rung.
    pub(super) forced: bool,
    /// Features of the request, JSON.
    pub(super) features: Option<String>,
    /// Whether the request gave features of candidates, of which the log has those of the items shown alone.
    pub(super) gave_features: bool,
    call: Vec<u8>,
    /// Items, first to last, each with the probability of its place.
    pub(super) items: Vec<(String, Option<f32>)>,
}

impl Served {
    /// What re-ranking was asked.
    pub(super) fn call(&self) -> Result<Rerank> {
        codec::decode(&self.call).with_context(|| {
            let id = &self.request_id;
            format!("request {id} was logged by another version, or the file is damaged")
        })
    }
}

/// Re-ranking by settings, of calls that bring along what the rules read.
pub(super) fn rules_of(settings: &Settings) -> Result<RerankingService> {
    let parts = RerankingParts {
        items: None,
        options: settings.reranking.clone(),
        surfaces: settings.surface_rules(),
    };
    Ok(RerankingService::new(parts)?)
}

/// Goes through the lists of a file that were logged in full.
pub(super) fn each(file: &Path, mut done: impl FnMut(Served) -> Result<()>) -> Result<()> {
    let exposures = Exposures::open(file)?;
    for column in COLUMNS {
        let shown = file.display();
        ensure!(
            exposures.has(column),
            "{shown} has no column {column}; `plugrank export` writes it"
        );
    }
    let mut list = None;
    for batch in exposures {
        add(&batch?, &mut list, &mut done)?;
    }
    list.map_or(Ok(()), done)
}

/// Goes through the rows, those of a list one after another; `done` gets each list that is over.
fn add(
    batch: &RecordBatch,
    list: &mut Option<Served>,
    mut done: impl FnMut(Served) -> Result<()>,
) -> Result<()> {
    let text = |column| Ok::<StringArray, anyhow::Error>(texts(batch, column)?.as_string().clone());
    let (requests, users, items) = (text("request_id")?, text("user_id")?, text("item_id")?);
    let (features, given) = (text("request_features")?, text("item_features")?);
    let forced = flags(batch, "forced")?;
    let column = |name: &str| batch.column_by_name(name).context("a column is gone");
    let (calls, propensities) = (column("rerank")?, column("propensity")?);
    let calls = calls.as_binary_opt::<i32>().context("the column rerank holds no bytes")?;
    let propensities = propensities
        .as_primitive_opt::<Float32Type>()
        .context("the column propensity holds no float32")?;
    for (row, forced) in forced.into_iter().enumerate() {
        let request_id = requests.value(row);
        if calls.is_valid(row) || list.as_ref().is_some_and(|list| list.request_id != request_id) {
            list.take().map_or(Ok(()), &mut done)?;
        }
        if calls.is_valid(row) {
            *list = Some(Served {
                request_id: request_id.to_owned(),
                user_id: users.value(row).to_owned(),
                forced,
                features: features.is_valid(row).then(|| features.value(row).to_owned()),
                gave_features: false,
                call: calls.value(row).to_vec(),
                items: Vec::new(),
            });
        }
        if let Some(list) = list.as_mut().filter(|_| items.is_valid(row)) {
            let propensity = propensities.is_valid(row).then(|| propensities.value(row));
            list.items.push((items.value(row).to_owned(), propensity));
            list.gave_features |= given.is_valid(row);
        }
    }
    Ok(())
}
