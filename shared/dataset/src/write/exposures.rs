//! `exposures.parquet`.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use plugrank_contract::{ExposedArm, ExposedItem, Exposure, FeatureValues};
use serde::{Serialize, Serializer};

use super::{
    TableTarget,
    columns::{list, optional, required},
    parquet_file::ParquetFile,
};
use crate::{
    DatasetError,
    names::{EXPOSURES, ITEM_ID, POSITION, PROPENSITY, REQUEST_ID, SURFACE, TIMESTAMP, USER_ID},
};

/// Writes `exposures.parquet`: a row an item that was served, and a row without an item for a list that
/// has none.
pub struct ExposureWriter {
    file: ParquetFile,
}

/// A row by the names of its columns: an item of a list; none of a list without items.
#[derive(Serialize)]
struct ExposureColumns<'a> {
    request_id: &'a str,
    timestamp: i64,
    user_id: &'a str,
    surface: Option<&'a str>,
    arms: &'a [String],
    forced: bool,
    bundle: Option<&'a str>,
    rung: &'a str,
    degraded: bool,
    late: bool,
    failed: bool,
    coverage: f32,
    request_features: Option<&'a str>,
    item_id: Option<&'a str>,
    position: Option<i32>,
    score: Option<f32>,
    ctr: Option<f32>,
    scores: Option<String>,
    propensity: Option<f32>,
    item_features: Option<String>,
    rerank: Option<Bytes<'a>>,
}

/// Bytes, which serde takes for a list of numbers otherwise.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

impl ExposureWriter {
    /// Starts the file in a folder, or as a stream.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(target: impl Into<TableTarget>) -> Result<Self, DatasetError> {
        let fields = vec![
            required(REQUEST_ID, DataType::Utf8),
            required(TIMESTAMP, DataType::Int64),
            required(USER_ID, DataType::Utf8),
            optional(SURFACE, DataType::Utf8),
            required("arms", list(DataType::Utf8)),
            required("forced", DataType::Boolean),
            optional("bundle", DataType::Utf8),
            required("rung", DataType::Utf8),
            required("degraded", DataType::Boolean),
            required("late", DataType::Boolean),
            required("failed", DataType::Boolean),
            required("coverage", DataType::Float32),
            optional("request_features", DataType::Utf8),
            optional(ITEM_ID, DataType::Utf8),
            optional(POSITION, DataType::Int32),
            optional("score", DataType::Float32),
            optional("ctr", DataType::Float32),
            optional("scores", DataType::Utf8),
            optional(PROPENSITY, DataType::Float32),
            optional("item_features", DataType::Utf8),
            optional("rerank", DataType::Binary),
        ];
        let file = ParquetFile::create(target.into(), EXPOSURES, fields)?;
        Ok(Self { file })
    }

    /// Appends a served list.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, exposure: Exposure) -> Result<(), DatasetError> {
        let arms: Vec<String> = exposure.arms.iter().map(named).collect();
        let request_features = json(&exposure.features);
        for at in 0..exposure.items.len().max(1) {
            let item = exposure.items.get(at);
            self.file.write(&ExposureColumns {
                request_id: &exposure.request_id,
                timestamp: exposure.timestamp,
                user_id: exposure.user_id.as_str(),
                surface: exposure.surface.as_deref(),
                arms: &arms,
                forced: exposure.forced_arms,
                bundle: exposure.bundle.as_deref(),
                rung: &exposure.rung,
                degraded: exposure.degraded,
                late: exposure.late,
                failed: exposure.failed,
                coverage: exposure.coverage,
                request_features: request_features.as_deref(),
                item_id: item.map(|item| item.item_id.as_str()),
                position: item.and_then(|_| i32::try_from(at).ok()),
                score: item.and_then(|item| item.score),
                ctr: item.and_then(|item| item.ctr),
                scores: item.and_then(|item| scores(&exposure.tasks, item)),
                propensity: item.and_then(|item| item.propensity),
                item_features: item.and_then(|item| json(&item.features)),
                rerank: rerank(&exposure, at),
            })?;
        }
        Ok(())
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(self) -> Result<u64, DatasetError> {
        self.file.finish()
    }
}

fn named(arm: &ExposedArm) -> String {
    format!("{}={}", arm.experiment, arm.arm)
}

/// Features as a JSON object; none without any.
fn json(features: &FeatureValues) -> Option<String> {
    if features.is_empty() {
        return None;
    }
    // Names are texts and numbers are finite, so they can be written.
    serde_json::to_string(features).ok()
}

/// What re-ranking was asked, once a list.
fn rerank(list: &Exposure, at: usize) -> Option<Bytes<'_>> {
    (at == 0 && !list.rerank.is_empty()).then_some(Bytes(&list.rerank))
}

/// Probabilities by task as a JSON object.
fn scores(tasks: &[String], item: &ExposedItem) -> Option<String> {
    if item.scores.is_empty() {
        return None;
    }
    let by_task: BTreeMap<&str, f32> =
        tasks.iter().map(String::as_str).zip(item.scores.iter().copied()).collect();
    serde_json::to_string(&by_task).ok()
}
