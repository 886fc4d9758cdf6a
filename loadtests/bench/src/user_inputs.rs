//! What the user encoder reads.

use anyhow::{Context, Result, bail};
use plugrank_bundle::{
    FeatureEncoder, GraphSpec, InputSource, ItemRecordLayout,
    features::FeatureSlot,
    manifest::{InputSpec, TimeKind},
};
use plugrank_contract::history::time_bucket;
use plugrank_inference::{Tensor, TensorData, batcher::sources::feature_block};

use crate::{
    history::Entry,
    item_inputs::{EncodedItem, lengths},
};

/// What is needed beside a user's own history.
pub(crate) struct UserSchema<'a> {
    pub(crate) spec: &'a GraphSpec,
    pub(crate) layout: &'a ItemRecordLayout,
    pub(crate) features: &'a FeatureEncoder,
    pub(crate) time: TimeKind,
    /// All records, row by row.
    pub(crate) records: &'a [f32],
    /// All items.
    pub(crate) items: &'a [EncodedItem],
}

impl UserSchema<'_> {
    /// The inputs of one user's run, in the graph's order.
    pub(crate) fn tensors(&self, entries: &[Entry], user: &[u32]) -> Result<Vec<(String, Tensor)>> {
        let rows = entries.len().max(1);
        let tensor = |input: &InputSpec| {
            let data = self.data(&input.source, entries, user)?;
            Ok((input.name.clone(), Tensor { shape: lengths(&input.shape, 1, rows), data }))
        };
        self.spec.inputs.iter().map(tensor).collect()
    }

    fn data(&self, source: &InputSource, entries: &[Entry], user: &[u32]) -> Result<TensorData> {
        let rows = entries.len().max(1);
        let integers = |of: &dyn Fn(&Entry) -> i64| {
            let mut values: Vec<i64> = entries.iter().map(of).collect();
            values.resize(rows, 0);
            TensorData::I64(values)
        };
        Ok(match source {
            InputSource::HistoryItem(name) => {
                let part = self.layout.part(name);
                let part = part.with_context(|| format!("a record has no part `{name}`"))?;
                let mut values = Vec::with_capacity(rows * part.dim);
                for entry in entries {
                    let start = entry.item * self.layout.dim + part.offset;
                    values.extend_from_slice(&self.records[start..start + part.dim]);
                }
                values.resize(rows * part.dim, 0.0);
                TensorData::F32(values)
            }
            InputSource::HistoryFeature(name) => {
                let slot = slot(self.features.item_slots(), name)?;
                let features = entries.iter().map(|entry| &*self.items[entry.item].features);
                feature_block(slot, features, rows)
            }
            InputSource::HistoryLabel => integers(&|entry| i64::from(entry.clicked)),
            InputSource::HistoryAgeBucket => {
                let newest = entries.first().map_or(0, |entry| entry.timestamp);
                integers(&|entry| self.bucket(newest.saturating_sub(entry.timestamp)))
            }
            InputSource::HistoryMask => {
                TensorData::F32(vec![f32::from(u8::from(!entries.is_empty())); rows])
            }
            InputSource::UserFeature(name) => {
                let slot = slot(self.features.user_slots(), name)?;
                feature_block(slot, std::iter::once(user), 1)
            }
            other => bail!("the benchmark cannot fill `{other}` of user_encoder"),
        })
    }

    /// The recency bucket of a request made at `now_ms`.
    pub(crate) fn recency(&self, entries: &[Entry], now_ms: i64) -> i64 {
        let newest = entries.first();
        newest.map_or(0, |entry| self.bucket(now_ms.saturating_sub(entry.timestamp)))
    }

    fn bucket(&self, interval_ms: i64) -> i64 {
        match self.time {
            TimeKind::Ms => i64::from(time_bucket(interval_ms)),
            TimeKind::Order => 0,
        }
    }
}

fn slot<'a>(slots: &'a [FeatureSlot], name: &str) -> Result<&'a FeatureSlot> {
    let found = slots.iter().find(|slot| slot.name == name);
    found.with_context(|| format!("the bundle has no feature `{name}`"))
}
