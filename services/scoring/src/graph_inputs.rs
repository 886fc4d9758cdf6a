//! What a scoring graph reads, and the blocks of one request.

use std::{ops::Range, sync::Arc};

use plugrank_bundle::{
    Bundle, FeatureEncoder, GraphName, ItemFeatures, ItemRecordLayout, Source, TensorDtype,
    features::FeatureSlot, manifest::TimeKind, record::RecordPart,
};
use plugrank_contract::{CallError, HistoryEntry, Matrix};
use plugrank_inference::{
    TensorData,
    batcher::{
        Dims, Entry, GraphInput, Layout, TensorRows, Variable,
        sources::{HistoryBlock, feature_block, mask, matrix_data, record_block},
    },
};

use crate::error::ScoringError;

#[derive(Clone, Debug)]
enum Reads {
    /// Output of the user encoder, by place.
    State(usize),
    Item(RecordPart),
    CandidateFeature(FeatureSlot),
    HistoryFeature(FeatureSlot),
    UserFeature(FeatureSlot),
    Label,
    AgeBucket,
    Mask,
    Recency,
}

/// A scoring graph's border.
#[derive(Debug)]
pub(crate) struct GraphSchema {
    graph: GraphName,
    record: ItemRecordLayout,
    pub(crate) time: TimeKind,
    inputs: Vec<(Reads, Layout)>,
}

/// What is known for one request.
#[derive(Default)]
pub(crate) struct Facts<'a> {
    pub(crate) candidates: usize,
    /// Item records, one row a candidate.
    pub(crate) records: Option<&'a Matrix>,
    pub(crate) candidate_features: &'a [Arc<ItemFeatures>],
    /// Outputs of the user encoder.
    pub(crate) state: &'a [Matrix],
    pub(crate) history: &'a [HistoryEntry],
    /// Entries of the history; the entries themselves may not be needed.
    pub(crate) history_len: usize,
    pub(crate) history_features: &'a [Arc<ItemFeatures>],
    pub(crate) user_features: &'a [i64],
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
        let reads = |source: &Source| {
            let found = match source {
                Source::UserState(name) => {
                    states.iter().position(|output| output.name == *name).map(Reads::State)
                }
                Source::CandidateItem(name) => bundle.record().part(name).cloned().map(Reads::Item),
                Source::CandidateFeature(name) => {
                    find(features.item_slots(), name).map(Reads::CandidateFeature)
                }
                Source::HistoryFeature(name) => {
                    find(features.item_slots(), name).map(Reads::HistoryFeature)
                }
                Source::UserFeature(name) => {
                    find(features.user_slots(), name).map(Reads::UserFeature)
                }
                Source::HistoryLabel => Some(Reads::Label),
                Source::HistoryAgeBucket => Some(Reads::AgeBucket),
                Source::HistoryMask => Some(Reads::Mask),
                Source::RequestRecencyBucket => Some(Reads::Recency),
                _ => None,
            };
            found.ok_or_else(|| ScoringError::Source { graph, input: source.to_string() })
        };
        let inputs = bundle.graph(graph).map_or(&[][..], |spec| &spec.inputs);
        let inputs = inputs
            .iter()
            .zip(layouts)
            .map(|(input, layout)| Ok((reads(&input.source)?, layout.clone())))
            .collect::<Result<_, ScoringError>>()?;
        let time = bundle.manifest().time;
        Ok(Self { graph, record: bundle.record().clone(), time, inputs })
    }

    /// How each input lies, in the manifest's order.
    pub(crate) fn layouts(&self) -> impl Iterator<Item = &Layout> {
        self.inputs.iter().map(|(_, layout)| layout)
    }

    fn reads(&self, of: impl Fn(&Reads) -> bool) -> bool {
        self.inputs.iter().any(|(reads, _)| of(reads))
    }

    /// Whether features of candidates are read.
    pub(crate) fn candidate_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::CandidateFeature(_)))
    }

    /// Whether features of history items are read.
    pub(crate) fn history_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::HistoryFeature(_)))
    }

    /// Whether the user's profile is read.
    pub(crate) fn user_features(&self) -> bool {
        self.reads(|reads| matches!(reads, Reads::UserFeature(_)))
    }

    /// The entries of one request: one, or several along its candidates when there are more than
    /// `largest`. What does not vary with the candidates is shared.
    pub(crate) fn entries(
        &self,
        facts: &Facts<'_>,
        largest: usize,
        reads_history: bool,
    ) -> Result<Vec<Entry<Box<dyn GraphInput>>>, CallError> {
        let history = if reads_history { facts.history_len.max(1) } else { 1 };
        let shared = self
            .inputs
            .iter()
            .map(|(reads, layout)| match layout.variable {
                Some(Variable::Candidates) => Ok(None),
                _ => self.user_block(reads, layout, facts).map(Arc::new).map(Some),
            })
            .collect::<Result<Vec<_>, CallError>>()?;
        let mut entries = Vec::with_capacity(facts.candidates.div_ceil(largest));
        let mut start = 0;
        while start < facts.candidates {
            let range = start..(start + largest).min(facts.candidates);
            let dims = Dims { candidates: range.len(), history };
            let inputs = self
                .inputs
                .iter()
                .zip(&shared)
                .map(|((reads, layout), shared)| match shared {
                    Some(block) => Ok(Arc::clone(block)),
                    None => self.candidate_block(reads, layout, facts, &range).map(Arc::new),
                })
                .collect::<Result<_, CallError>>()?;
            start = range.end;
            entries.push(Entry { dims, input: TensorRows::boxed(inputs) });
        }
        Ok(entries)
    }

    fn user_block(
        &self,
        reads: &Reads,
        layout: &Layout,
        facts: &Facts<'_>,
    ) -> Result<TensorData, CallError> {
        let history = HistoryBlock { entries: facts.history, time: self.time };
        Ok(match reads {
            Reads::State(place) => {
                let output = facts.state.get(*place).ok_or_else(|| self.wrong(layout))?;
                let rows = match layout.variable {
                    Some(Variable::History) => facts.history_len.max(1),
                    _ => 1,
                };
                let fits = output.rows() == rows
                    && output.dim() == layout.step()
                    && output.validate().is_ok();
                let data = matrix_data(output.dtype(), output.data());
                if !fits || data.dtype() != layout.dtype {
                    return Err(self.wrong(layout));
                }
                data
            }
            Reads::HistoryFeature(slot) => {
                let rows = facts.history_features.iter().map(|ids| &ids[..]);
                feature_block(slot, rows, history.rows())
            }
            Reads::UserFeature(slot) => {
                feature_block(slot, std::iter::once(facts.user_features), 1)
            }
            Reads::Label => history.label(),
            Reads::AgeBucket => history.age_bucket(),
            Reads::Mask => mask(facts.history_len),
            Reads::Recency => TensorData::I64(vec![i64::from(facts.recency_bucket)]),
            Reads::Item(_) | Reads::CandidateFeature(_) => return Err(self.wrong(layout)),
        })
    }

    fn candidate_block(
        &self,
        reads: &Reads,
        layout: &Layout,
        facts: &Facts<'_>,
        range: &Range<usize>,
    ) -> Result<TensorData, CallError> {
        match (reads, facts.records) {
            (Reads::Item(part), Some(records)) => {
                let rows = range.clone().map(|row| records.row(row));
                Ok(record_block(&self.record, part, rows, range.len()))
            }
            (Reads::CandidateFeature(slot), _) => {
                let rows = facts.candidate_features.get(range.clone());
                let rows = rows.ok_or_else(|| self.wrong(layout))?.iter().map(|ids| &ids[..]);
                Ok(feature_block(slot, rows, range.len()))
            }
            _ => Err(self.wrong(layout)),
        }
    }

    /// Checks that fetched records are of this bundle's form.
    pub(crate) fn check_records(&self, records: &Matrix, rows: usize) -> Result<(), CallError> {
        let fits = records.validate().is_ok()
            && (records.rows(), records.dim(), records.dtype())
                == (rows, self.record.dim, self.record.dtype);
        if fits {
            return Ok(());
        }
        Err(CallError::internal(format!(
            "the embedding service answered {} x {} records of {:?}, expected {rows} x {} of {:?}",
            records.rows(),
            records.dim(),
            records.dtype(),
            self.record.dim,
            self.record.dtype
        )))
    }

    fn wrong(&self, layout: &Layout) -> CallError {
        CallError::internal(format!(
            "graph `{}`: input `{}` was not given as {} elements of {} a row",
            self.graph,
            layout.name,
            layout.step(),
            layout.dtype
        ))
    }
}

/// Checks that a graph answers one logit a candidate.
pub(crate) fn check_logit(graph: GraphName, outputs: &[Layout]) -> Result<(), ScoringError> {
    let fits = |layout: &Layout| {
        layout.name == "logit"
            && layout.dtype == TensorDtype::F32
            && layout.variable == Some(Variable::Candidates)
            && layout.fixed.is_empty()
    };
    match outputs {
        [layout] if fits(layout) => Ok(()),
        other => Err(ScoringError::Logit { graph, found: format!("{other:?}") }),
    }
}
