//! `exposures.parquet`.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Int32Array, Int64Array, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field};
use plugrank_contract::{ExposedArm, ExposedItem, Exposure, FeatureValues};

use super::{
    TableTarget,
    parquet_file::{CHUNK_ROWS, ParquetFile},
};
use crate::{
    DatasetError,
    names::{EXPOSURES, ITEM_ID, POSITION, PROPENSITY, REQUEST_ID, SURFACE, TIMESTAMP, USER_ID},
};

/// Writes `exposures.parquet`: a row an item that was served, and a row without an item for a list that
/// has none.
pub struct ExposureWriter {
    file: ParquetFile,
    waiting: Vec<Row>,
}

/// An item of a list; none of a list without items.
type Row = (Arc<Exposure>, Option<usize>);

impl ExposureWriter {
    /// Starts the file in a folder, or as a stream.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(target: impl Into<TableTarget>) -> Result<Self, DatasetError> {
        let text = Field::new("item", DataType::Utf8, true);
        let fields = vec![
            Field::new(REQUEST_ID, DataType::Utf8, false),
            Field::new(TIMESTAMP, DataType::Int64, false),
            Field::new(USER_ID, DataType::Utf8, false),
            Field::new(SURFACE, DataType::Utf8, true),
            Field::new("arms", DataType::List(text.into()), false),
            Field::new("forced", DataType::Boolean, false),
            Field::new("bundle", DataType::Utf8, true),
            Field::new("rung", DataType::Utf8, false),
            Field::new("degraded", DataType::Boolean, false),
            Field::new("late", DataType::Boolean, false),
            Field::new("failed", DataType::Boolean, false),
            Field::new("coverage", DataType::Float32, false),
            Field::new("request_features", DataType::Utf8, true),
            Field::new(ITEM_ID, DataType::Utf8, true),
            Field::new(POSITION, DataType::Int32, true),
            Field::new("score", DataType::Float32, true),
            Field::new("ctr", DataType::Float32, true),
            Field::new("scores", DataType::Utf8, true),
            Field::new(PROPENSITY, DataType::Float32, true),
            Field::new("item_features", DataType::Utf8, true),
            Field::new("rerank", DataType::Binary, true),
        ];
        let file = ParquetFile::create(target.into(), EXPOSURES, fields)?;
        Ok(Self { file, waiting: Vec::new() })
    }

    /// Appends a served list.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, exposure: Exposure) -> Result<(), DatasetError> {
        let exposure = Arc::new(exposure);
        let rows = exposure.items.len().max(1);
        let item = |at| (at < exposure.items.len()).then_some(at);
        self.waiting.extend((0..rows).map(|at| (Arc::clone(&exposure), item(at))));
        if self.waiting.len() >= CHUNK_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// Completes the file; how many rows it has.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<u64, DatasetError> {
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<(), DatasetError> {
        let rows = std::mem::take(&mut self.waiting);
        let lists = Lists(&rows);
        let mut arms = ListBuilder::new(StringBuilder::new());
        for (exposure, _) in &rows {
            arms.append_value(exposure.arms.iter().map(|arm| Some(named(arm))));
        }
        let positions = rows.iter().map(|(_, item)| item.and_then(|at| i32::try_from(at).ok()));
        self.file.write(vec![
            lists.text(|list| Some(&list.request_id)),
            Arc::new(rows.iter().map(|(list, _)| Some(list.timestamp)).collect::<Int64Array>()),
            lists.text(|list| Some(list.user_id.as_str())),
            lists.text(|list| list.surface.as_deref()),
            Arc::new(arms.finish()),
            lists.flag(|list| list.forced_arms),
            lists.text(|list| list.bundle.as_deref()),
            lists.text(|list| Some(&list.rung)),
            lists.flag(|list| list.degraded),
            lists.flag(|list| list.late),
            lists.flag(|list| list.failed),
            Arc::new(rows.iter().map(|(list, _)| Some(list.coverage)).collect::<Float32Array>()),
            Arc::new(rows.iter().map(|(list, _)| json(&list.features)).collect::<StringArray>()),
            lists.of_item(|item| Some(item.item_id.as_str())),
            Arc::new(positions.collect::<Int32Array>()),
            lists.number(|item| item.score),
            lists.number(|item| item.ctr),
            Arc::new(rows.iter().map(scores).collect::<StringArray>()),
            lists.number(|item| item.propensity),
            Arc::new(
                rows.iter()
                    .map(|row| item(row).and_then(|item| json(&item.features)))
                    .collect::<StringArray>(),
            ),
            Arc::new(rows.iter().map(rerank).collect::<BinaryArray>()),
        ])
    }
}

/// Rows as columns.
struct Lists<'a>(&'a [Row]);

impl Lists<'_> {
    fn text(&self, of: fn(&Exposure) -> Option<&str>) -> ArrayRef {
        Arc::new(self.0.iter().map(|(list, _)| of(list)).collect::<StringArray>())
    }

    fn flag(&self, of: fn(&Exposure) -> bool) -> ArrayRef {
        Arc::new(self.0.iter().map(|(list, _)| Some(of(list))).collect::<BooleanArray>())
    }

    fn of_item(&self, of: fn(&ExposedItem) -> Option<&str>) -> ArrayRef {
        Arc::new(self.0.iter().map(|row| item(row).and_then(of)).collect::<StringArray>())
    }

    fn number(&self, of: fn(&ExposedItem) -> Option<f32>) -> ArrayRef {
        Arc::new(self.0.iter().map(|row| item(row).and_then(of)).collect::<Float32Array>())
    }
}

fn item((list, at): &Row) -> Option<&ExposedItem> {
    list.items.get((*at)?)
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
fn rerank((list, at): &Row) -> Option<&[u8]> {
    Some(list.rerank.as_slice()).filter(|call| !call.is_empty() && at.is_none_or(|at| at == 0))
}

/// Probabilities by task as a JSON object.
fn scores(row: &Row) -> Option<String> {
    let item = item(row)?;
    if item.scores.is_empty() {
        return None;
    }
    let by_task: BTreeMap<&str, f32> =
        row.0.tasks.iter().map(String::as_str).zip(item.scores.iter().copied()).collect();
    serde_json::to_string(&by_task).ok()
}
