//! What the user encoder reads, and what it answers.

use std::sync::Arc;

use plugrank_bundle::{
    Bundle, FeatureEncoder, GraphName, InputSource, ItemFeatures, ItemRecordLayout, TensorDtype,
    features::{ACTION, FeatureSlot, VALUE},
    manifest::TimeKind,
    record::RecordPart,
};
use plugrank_contract::HistoryEntry;
use plugrank_inference::{
    TensorData,
    batcher::{
        Dims, Entry, GraphInput, TensorRows,
        sources::{HistoryBlock, feature_block, record_block, told_block},
    },
};

use crate::{error::EncodingError, record_set::RecordSet, state_cache::StateOutput};

#[derive(Clone, Debug)]
enum UserInput {
    Item(RecordPart),
    ItemFeature(FeatureSlot),
    Label,
    AgeBucket,
    /// Action or value of each entry.
    Told(FeatureSlot),
    Mask,
    Feature(FeatureSlot),
}

/// The user encoder's border.
pub(crate) struct UserSchema {
    layout: ItemRecordLayout,
    pub(crate) time: TimeKind,
    inputs: Vec<UserInput>,
    /// Whether each output has a row an entry.
    per_entry: Vec<bool>,
    /// Whether any input or output varies with the history.
    reads_history: bool,
    /// Whether item features of the history are read.
    pub(crate) reads_item_features: bool,
    /// Whether item records of the history are read.
    pub(crate) reads_records: bool,
    /// Whether actions or values of the history are read.
    pub(crate) reads_told: bool,
}

/// One user, as the encoder reads them.
pub(crate) struct UserRow<'a> {
    pub(crate) entries: &'a [HistoryEntry],
    /// Record of each entry's item, when they are read.
    pub(crate) records: Option<&'a RecordSet>,
    /// Features of each entry's item; empty when none are read.
    pub(crate) item_features: &'a [ItemFeatures],
    pub(crate) user_features: &'a [u32],
    /// Action and value of each entry, one row each; empty when neither is read.
    pub(crate) told: &'a [u32],
}

impl UserSchema {
    pub(crate) fn load(
        bundle: &Bundle,
        features: &FeatureEncoder,
        reads_history: bool,
    ) -> Result<Self, EncodingError> {
        let graph = GraphName::UserEncoder;
        let spec = bundle.graph(graph).ok_or(EncodingError::NoGraph(graph))?;
        let layout = bundle.record().clone();
        let find = |slots: &[FeatureSlot], name: &str| {
            slots.iter().find(|slot| slot.name == name).cloned()
        };
        let input = |source: &InputSource| {
            let reads = match source {
                InputSource::HistoryItem(name) => layout.part(name).cloned().map(UserInput::Item),
                InputSource::HistoryFeature(name) => {
                    find(features.item_slots(), name).map(UserInput::ItemFeature)
                }
                InputSource::UserFeature(name) => {
                    find(features.user_slots(), name).map(UserInput::Feature)
                }
                InputSource::HistoryAction => {
                    find(features.history_slots(), ACTION).map(UserInput::Told)
                }
                InputSource::HistoryValue => {
                    find(features.history_slots(), VALUE).map(UserInput::Told)
                }
                InputSource::HistoryLabel => Some(UserInput::Label),
                InputSource::HistoryAgeBucket => Some(UserInput::AgeBucket),
                InputSource::HistoryMask => Some(UserInput::Mask),
                _ => None,
            };
            reads.ok_or_else(|| EncodingError::source(graph, source))
        };
        let inputs =
            spec.inputs.iter().map(|one| input(&one.source)).collect::<Result<Vec<_>, _>>()?;
        let output = |one: &plugrank_bundle::TensorSpec| match one.dtype {
            TensorDtype::F16 | TensorDtype::F32 => Ok(one.per_history_entry()),
            TensorDtype::I64 => Err(EncodingError::UserOutput(one.name.clone())),
        };
        Ok(Self {
            time: bundle.manifest().time,
            reads_history,
            reads_item_features: inputs.iter().any(|one| matches!(one, UserInput::ItemFeature(_))),
            reads_told: inputs.iter().any(|one| matches!(one, UserInput::Told(_))),
            reads_records: inputs.iter().any(|one| matches!(one, UserInput::Item(_))),
            per_entry: spec.outputs.iter().map(output).collect::<Result<_, _>>()?,
            inputs,
            layout,
        })
    }

    /// The entry of one user: blocks in the order of the graph's inputs.
    pub(crate) fn entry(&self, row: &UserRow<'_>) -> Entry<Box<dyn GraphInput>> {
        let history = HistoryBlock { entries: row.entries, time: self.time };
        let count = history.rows();
        let block = |input: &UserInput| match input {
            UserInput::Item(part) => {
                let records = row.records.into_iter().flat_map(|set| set.rows(0..set.len()));
                record_block(&self.layout, part, records, count)
            }
            UserInput::ItemFeature(slot) => {
                feature_block(slot, row.item_features.iter().map(|ids| &ids[..]), count)
            }
            UserInput::Label => history.label(),
            UserInput::AgeBucket => history.age_bucket(),
            UserInput::Told(slot) => told_block(slot, row.told, row.entries.len()),
            UserInput::Mask => history.mask(),
            UserInput::Feature(slot) => feature_block(slot, std::iter::once(row.user_features), 1),
        };
        let inputs = self.inputs.iter().map(|input| Arc::new(block(input))).collect();
        let dims = Dims { candidates: 1, history: if self.reads_history { count } else { 1 } };
        Entry { dims, input: TensorRows::boxed(inputs) }
    }

    /// The encoder's answer, output by output.
    pub(crate) fn outputs(
        &self,
        outputs: Vec<TensorData>,
        entries: usize,
    ) -> Result<Vec<StateOutput>, EncodingError> {
        let output = |(per_entry, data): (&bool, TensorData)| {
            let rows = if *per_entry { entries.max(1) } else { 1 };
            if !data.len().is_multiple_of(rows) {
                let message = format!("user encoder: {} elements in {rows} rows", data.len());
                return Err(EncodingError::Encode(message));
            }
            Ok(StateOutput { rows, data })
        };
        self.per_entry.iter().zip(outputs).map(output).collect()
    }
}
