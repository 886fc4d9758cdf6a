//! What a scoring graph reads, and how one request's rows are written into a batch.

use std::{ops::Range, sync::Arc};

use bytemuck::cast_slice_mut;
use plugrank_bundle::{
    Bundle, FeatureEncoder, GraphName, InputSource, ItemFeatures, ItemRecordLayout, TensorDtype,
    features::{ACTION, FeatureSlot, VALUE},
    manifest::TimeKind,
    record::RecordPart,
};
use plugrank_contract::{HistoryEntry, ItemIndex, history::LAST_TIME_BUCKET};
use plugrank_encoding::{EncodedState, RecordSet};
use plugrank_inference::{
    BlockMut, TensorData,
    batcher::{
        Dims, Entry, GraphInput, Layout, Variable,
        sources::{HistoryBlock, feature_block, mask, told_block, write_cells},
    },
};
use plugrank_items::FeatureRows;

use crate::error::ScoringError;

#[derive(Clone, Debug)]
enum Reads {
    /// Output of the user encoder, by place.
    State(usize),
    Item(RecordPart),
    CandidateFeature(FeatureSlot),
    /// What the caller gives of each candidate.
    CandidateGiven(FeatureSlot),
    HistoryFeature(FeatureSlot),
    RequestFeature(FeatureSlot),
    UserFeature(FeatureSlot),
    Label,
    AgeBucket,
    /// Action or value of each entry of the history.
    Told(FeatureSlot),
    Mask,
    /// Entries of the history, at most so many.
    Length(usize),
    Recency,
}

/// A scoring graph's border.
#[derive(Debug)]
pub(crate) struct GraphSchema {
    graph: GraphName,
    record: ItemRecordLayout,
    pub(crate) time: TimeKind,
    inputs: Vec<(Reads, Layout)>,
    /// The largest id that each input takes, where it takes ids.
    largest_ids: Vec<Option<i64>>,
    reads_history: bool,
}

/// Features of candidates, by index; of those the table does not have, worked out from the id.
pub(crate) struct CandidateFeatures {
    pub(crate) view: FeatureRows,
    pub(crate) items: Arc<[ItemIndex]>,
    /// By place, ascending.
    pub(crate) unknown: Vec<(usize, ItemFeatures)>,
}

/// What is known for one request.
#[derive(Default)]
pub(crate) struct InputFacts {
    pub(crate) candidates: usize,
    /// Item records of the candidates.
    pub(crate) records: Option<RecordSet>,
    pub(crate) candidate_features: Option<CandidateFeatures>,
    /// Outputs of the user encoder.
    pub(crate) state: Option<Arc<EncodedState>>,
    pub(crate) history: Vec<HistoryEntry>,
    /// Entries of the history; the entries themselves may not be needed.
    pub(crate) history_len: usize,
    pub(crate) history_features: Vec<ItemFeatures>,
    /// Action and value of the history's entries, one row each.
    pub(crate) told: Vec<u32>,
    pub(crate) user_features: Box<[u32]>,
    /// Features of the request.
    pub(crate) request_features: Box<[u32]>,
    /// What the caller gives of the candidates, one row each.
    pub(crate) given: Vec<u32>,
    pub(crate) recency_bucket: u8,
}

impl GraphSchema {
    pub(crate) fn load(
        bundle: &Bundle,
        features: &FeatureEncoder,
        graph: GraphName,
        layouts: &[Layout],
    ) -> Result<Self, ScoringError> {
        let find = |slots: &[FeatureSlot], name: &str| {
            slots.iter().find(|slot| slot.name == name).cloned()
        };
        let states = bundle.graph(GraphName::UserEncoder).map_or(&[][..], |spec| &spec.outputs);
        let reads = |source: &InputSource| {
            let found = match source {
                InputSource::UserState(name) => {
                    states.iter().position(|output| output.name == *name).map(Reads::State)
                }
                InputSource::CandidateItem(name) => {
                    bundle.record().part(name).cloned().map(Reads::Item)
                }
                InputSource::CandidateFeature(name) => {
                    find(features.item_slots(), name).map(Reads::CandidateFeature)
                }
                InputSource::CandidateGiven(name) => {
                    find(features.candidate_slots(), name).map(Reads::CandidateGiven)
                }
                InputSource::HistoryFeature(name) => {
                    find(features.item_slots(), name).map(Reads::HistoryFeature)
                }
                InputSource::RequestFeature(name) => {
                    find(features.request_slots(), name).map(Reads::RequestFeature)
                }
                InputSource::UserFeature(name) => {
                    find(features.user_slots(), name).map(Reads::UserFeature)
                }
                InputSource::HistoryAction => {
                    find(features.history_slots(), ACTION).map(Reads::Told)
                }
                InputSource::HistoryValue => find(features.history_slots(), VALUE).map(Reads::Told),
                InputSource::HistoryLabel => Some(Reads::Label),
                InputSource::HistoryAgeBucket => Some(Reads::AgeBucket),
                InputSource::HistoryMask => Some(Reads::Mask),
                InputSource::HistoryLength => {
                    let limits = bundle.manifest().history;
                    Some(Reads::Length(limits.clicks + limits.impressions))
                }
                InputSource::RequestRecencyBucket => Some(Reads::Recency),
                _ => None,
            };
            found.ok_or_else(|| ScoringError::Source { graph, input: source.to_string() })
        };
        let inputs = bundle.graph(graph).map_or(&[][..], |spec| &spec.inputs);
        let inputs = inputs
            .iter()
            .zip(layouts)
            .map(|(input, layout)| Ok((reads(&input.source)?, layout.clone())))
            .collect::<Result<Vec<_>, ScoringError>>()?;
        let largest_ids = inputs.iter().map(|(reads, _)| largest_id(reads, features)).collect();
        let varies = |variable| inputs.iter().any(|(_, layout)| layout.variable == Some(variable));
        Ok(Self {
            graph,
            record: bundle.record().clone(),
            time: bundle.manifest().time,
            reads_history: varies(Variable::History),
            largest_ids,
            inputs,
        })
    }

    /// How each input lies, in the manifest's order, and the largest id that it takes.
    pub(crate) fn layouts(&self) -> impl Iterator<Item = (&Layout, Option<i64>)> {
        let layouts = self.inputs.iter().map(|(_, layout)| layout);
        layouts.zip(self.largest_ids.iter().copied())
    }

    fn reads(&self, of: impl Fn(&Reads) -> bool) -> bool {
        self.inputs.iter().any(|(reads, _)| of(reads))
    }

    /// Whether features of candidates are read.
    pub(crate) fn candidate_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::CandidateFeature(_)))
    }

    /// Whether features of the request are read.
    pub(crate) fn request_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::RequestFeature(_)))
    }

    /// Whether what the caller gives of candidates is read.
    pub(crate) fn given_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::CandidateGiven(_)))
    }

    /// Whether features of history items are read.
    pub(crate) fn history_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::HistoryFeature(_)))
    }

    /// Whether actions or values of the history are read.
    pub(crate) fn history_told(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::Told(_)))
    }

    /// Whether an input varies with the history.
    pub(crate) fn reads_history(&self) -> bool {
        self.reads_history
    }

    /// The entries of one request: one, or several along its candidates when there are more than
    /// `largest`. All share what is known.
    pub(crate) fn entries(
        self: &Arc<Self>,
        facts: &Arc<InputFacts>,
        largest: usize,
    ) -> Vec<Entry<Box<dyn GraphInput>>> {
        let history = self.dims(facts).history;
        let starts = (0..facts.candidates).step_by(largest.max(1));
        let entry = |start: usize| {
            let range = start..(start + largest).min(facts.candidates);
            let dims = Dims { candidates: range.len(), history };
            let (schema, facts) = (Arc::clone(self), Arc::clone(facts));
            let input: Box<dyn GraphInput> = Box::new(RequestRows { schema, facts, range });
            Entry { dims, input }
        };
        starts.map(entry).collect()
    }

    /// The size of a whole request.
    pub(crate) fn dims(&self, facts: &InputFacts) -> Dims {
        let history = if self.reads_history { facts.history_len.max(1) } else { 1 };
        Dims { candidates: facts.candidates, history }
    }

    fn wrong(&self, layout: &Layout) -> String {
        format!(
            "graph `{}`: input `{}` was not given as {} elements of {} a row",
            self.graph,
            layout.name,
            layout.step(),
            layout.dtype
        )
    }
}

/// The largest id of what an input reads: a table in the graph may have no row beyond it. `None` for an
/// input of numbers.
fn largest_id(reads: &Reads, features: &FeatureEncoder) -> Option<i64> {
    fn largest_probed<'a>(
        mut probes: impl Iterator<Item = (&'a FeatureSlot, Vec<u32>)>,
        slot: &FeatureSlot,
    ) -> Option<i64> {
        let (_, ids) = probes.find(|(probed, _)| *probed == slot)?;
        let largest = ids.into_iter().max().map(i64::from);
        largest.filter(|_| slot.dtype == TensorDtype::I64)
    }
    match reads {
        Reads::CandidateFeature(slot) | Reads::HistoryFeature(slot) => {
            largest_probed(features.item_probes(), slot)
        }
        Reads::UserFeature(slot) => largest_probed(features.user_probes(), slot),
        Reads::RequestFeature(slot) => largest_probed(features.request_probes(), slot),
        Reads::CandidateGiven(slot) => largest_probed(features.candidate_probes(), slot),
        Reads::Told(slot) => largest_probed(features.history_probes(), slot),
        Reads::Label => Some(1),
        Reads::AgeBucket | Reads::Recency => Some(LAST_TIME_BUCKET.into()),
        Reads::Length(most) => i64::try_from(*most).ok(),
        Reads::State(_) | Reads::Item(_) | Reads::Mask => None,
    }
}

/// The rows of one request, or of some of its candidates.
struct RequestRows {
    schema: Arc<GraphSchema>,
    facts: Arc<InputFacts>,
    range: Range<usize>,
}

impl GraphInput for RequestRows {
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
        let mut parts: Vec<RecordBlock<'_>> = Vec::with_capacity(blocks.len());
        for ((reads, layout), block) in self.schema.inputs.iter().zip(blocks) {
            match reads {
                Reads::Item(part) => {
                    parts.push(RecordBlock::new(&self.schema.record, part, block));
                }
                Reads::CandidateFeature(slot) => self.candidate_features(slot, layout, block)?,
                Reads::CandidateGiven(slot) => self.given(slot, layout, block)?,
                Reads::RequestFeature(slot) => {
                    let cells = self.facts.request_features.get(slot.cells());
                    let cells = cells.ok_or_else(|| self.schema.wrong(layout))?;
                    write_cells(cells, slot, block)?;
                }
                Reads::State(place) => {
                    let state = self.facts.state.as_ref();
                    let output = state.and_then(|state| state.outputs.get(*place));
                    let output = output.ok_or_else(|| self.schema.wrong(layout))?;
                    block.set(&output.data).map_err(|wrong| {
                        format!("graph `{}`: `{}` takes {wrong}", self.schema.graph, layout.name)
                    })?;
                }
                Reads::Recency => match block {
                    BlockMut::I64(block) => block.fill(self.facts.recency_bucket.into()),
                    _ => return Err(self.schema.wrong(layout)),
                },
                _ => block.set(&self.user_block(reads, layout)?)?,
            }
        }
        self.records(&mut parts)
    }

    fn writes_all(&self) -> bool {
        true
    }
}

/// Where one part of the records goes.
struct RecordBlock<'a> {
    /// Bytes of the part within a record.
    bytes: Range<usize>,
    to: &'a mut [u8],
}

impl<'a> RecordBlock<'a> {
    fn new(layout: &ItemRecordLayout, part: &RecordPart, block: &'a mut BlockMut<'_>) -> Self {
        let size = layout.dtype.size();
        let bytes = part.offset * size..(part.offset + part.dim) * size;
        let to = match block {
            BlockMut::F16(block) => cast_slice_mut(block),
            BlockMut::F32(block) => cast_slice_mut(block),
            BlockMut::I64(block) => cast_slice_mut(block),
        };
        Self { bytes, to }
    }
}

/// Copies between slices of one length. A part is a few cache lines: as whole lines it needs no call.
fn copy_lines(to: &mut [u8], from: &[u8]) {
    let (to_lines, to_rest) = to.as_chunks_mut::<64>();
    let (from_lines, from_rest) = from.as_chunks::<64>();
    to_lines.iter_mut().zip(from_lines).for_each(|(to, from)| *to = *from);
    to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = *from);
}

impl RequestRows {
    /// Goes over the records once: a record lies in one row, and its parts go to several inputs.
    fn records(&self, parts: &mut [RecordBlock<'_>]) -> Result<(), String> {
        if parts.is_empty() {
            return Ok(());
        }
        let records = self.facts.records.as_ref().ok_or("no records were fetched")?;
        // Found first and copied then: where a row lies is known before the copy of the one before has ended, so
        // that the processor waits for several rows at a time.
        let rows: Vec<&[u8]> = records.rows(self.range.clone()).collect();
        for (row, record) in rows.into_iter().enumerate() {
            for part in &mut *parts {
                let width = part.bytes.len();
                let to = part.to.get_mut(row * width..(row + 1) * width);
                match (to, record.get(part.bytes.clone())) {
                    (Some(to), Some(from)) => copy_lines(to, from),
                    _ => return Err(format!("record {row} does not fit the graph")),
                }
            }
        }
        Ok(())
    }

    fn candidate_features(
        &self,
        slot: &FeatureSlot,
        layout: &Layout,
        block: &mut BlockMut<'_>,
    ) -> Result<(), String> {
        let wrong = || self.schema.wrong(layout);
        let features = self.facts.candidate_features.as_ref().ok_or_else(wrong)?;
        let mut unknown = features.unknown.iter().skip_while(|(at, _)| *at < self.range.start);
        let mut next = unknown.next();
        let rows = self.range.clone().map(|place| {
            if let Some((_, row)) = next.filter(|(at, _)| *at == place) {
                next = unknown.next();
                return Some(&**row);
            }
            features.view.row(features.items[place])
        });
        write_rows(rows, slot, block).ok_or_else(wrong)
    }

    fn given(
        &self,
        slot: &FeatureSlot,
        layout: &Layout,
        block: &mut BlockMut<'_>,
    ) -> Result<(), String> {
        let width = self.facts.given.len() / self.facts.candidates.max(1);
        let rows =
            self.range.clone().map(|place| self.facts.given.get(place * width..)?.get(..width));
        write_rows(rows, slot, block).ok_or_else(|| self.schema.wrong(layout))
    }

    fn user_block(&self, reads: &Reads, layout: &Layout) -> Result<TensorData, String> {
        let facts = &*self.facts;
        let history = HistoryBlock { entries: &facts.history, time: self.schema.time };
        Ok(match reads {
            Reads::HistoryFeature(slot) => feature_block(
                slot,
                facts.history_features.iter().map(|ids| &ids[..]),
                history.rows(),
            ),
            Reads::UserFeature(slot) => {
                feature_block(slot, std::iter::once(&facts.user_features[..]), 1)
            }
            Reads::Label => history.label(),
            Reads::AgeBucket => history.age_bucket(),
            Reads::Told(slot) => told_block(slot, &facts.told, facts.history.len()),
            Reads::Mask => mask(facts.history_len),
            Reads::Length(most) => TensorData::I64(vec![facts.history_len.min(*most) as i64]),
            Reads::State(_)
            | Reads::Item(_)
            | Reads::CandidateFeature(_)
            | Reads::CandidateGiven(_)
            | Reads::RequestFeature(_)
            | Reads::Recency => return Err(self.schema.wrong(layout)),
        })
    }
}

/// Writes one feature of several rows; `None` where a row is missing or the block is another's.
fn write_rows<'r>(
    rows: impl Iterator<Item = Option<&'r [u32]>>,
    slot: &FeatureSlot,
    block: &mut BlockMut<'_>,
) -> Option<()> {
    fn write<'r, T>(
        rows: impl Iterator<Item = Option<&'r [u32]>>,
        slot: &FeatureSlot,
        to: &mut [T],
        element: impl Fn(u32) -> T,
    ) -> Option<()> {
        for (row, to) in rows.zip(to.chunks_exact_mut(slot.length.max(1))) {
            let cells = row?.get(slot.cells())?;
            to.iter_mut().zip(cells).for_each(|(to, cell)| *to = element(*cell));
        }
        Some(())
    }
    match (slot.dtype, block) {
        (TensorDtype::I64, BlockMut::I64(to)) => write(rows, slot, to, i64::from),
        (TensorDtype::F32, BlockMut::F32(to)) => write(rows, slot, to, f32::from_bits),
        _ => None,
    }
}
