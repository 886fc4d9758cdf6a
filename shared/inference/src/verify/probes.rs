//! Runs graphs on what the reference rows do not hold: the ends of every feature's range.

use plugrank_bundle::{
    FeatureEncoder, GraphName, GraphSpec, InputSource, TensorDtype,
    features::{ACTION, FeatureSlot, VALUE},
};

use super::{VerifyError, reference::Reference};
use crate::{Session, Tensor, TensorData};

/// Runs a graph with each feature at its ends: missing, unknown and the last id of a category, missing
/// and far out of a number. The graph must look each id up, and give finite numbers.
pub(super) fn check(
    graph: GraphName,
    spec: &GraphSpec,
    session: &mut Session,
    reference: &Reference,
    features: &FeatureEncoder,
) -> Result<(), VerifyError> {
    for input in &spec.inputs {
        let Some((slot, cells)) = probes_of(&input.source, features) else { continue };
        let last = cells.iter().copied().max().unwrap_or_default();
        for cell in cells {
            let mut inputs = reference.inputs(graph, spec)?;
            let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == input.name) else {
                continue;
            };
            let filled = filled(tensor, slot, cell);
            for (name, tensor) in &mut inputs {
                if *name == input.name {
                    *tensor = &filled;
                }
            }
            let feature = || slot.name.clone();
            let outputs = match (session.run(&inputs), slot.dtype) {
                (Ok(outputs), _) => outputs,
                (Err(error), TensorDtype::I64) => {
                    return Err(VerifyError::Vocabulary {
                        graph,
                        feature: feature(),
                        id: cell.into(),
                        last: last.into(),
                        message: error.to_string(),
                    });
                }
                (Err(error), _) => return Err(error.into()),
            };
            let finite = |tensor: &Tensor| tensor.data.to_f64().iter().all(|x| x.is_finite());
            if let Some(place) = outputs.iter().position(|tensor| !finite(tensor)) {
                let output = session.outputs().get(place).map(|port| port.name.clone());
                return Err(VerifyError::NotFinite {
                    graph,
                    output: output.unwrap_or_default(),
                    feature: feature(),
                    value: shown(slot, cell),
                });
            }
        }
    }
    Ok(())
}

fn filled(tensor: &Tensor, slot: &FeatureSlot, cell: u32) -> Tensor {
    let count = tensor.data.len();
    let data = match slot.dtype {
        TensorDtype::I64 => TensorData::I64(vec![cell.into(); count]),
        TensorDtype::F32 | TensorDtype::F16 => TensorData::F32(vec![f32::from_bits(cell); count]),
    };
    Tensor { shape: tensor.shape.clone(), data }
}

fn shown(slot: &FeatureSlot, cell: u32) -> String {
    match slot.dtype {
        TensorDtype::I64 => format!("id {cell}"),
        TensorDtype::F32 | TensorDtype::F16 => f32::from_bits(cell).to_string(),
    }
}

/// The feature that a source gives, and the ends of its range.
fn probes_of<'a>(
    source: &InputSource,
    features: &'a FeatureEncoder,
) -> Option<(&'a FeatureSlot, Vec<u32>)> {
    match source {
        InputSource::ItemFeature(name)
        | InputSource::HistoryFeature(name)
        | InputSource::CandidateFeature(name) => {
            features.item_probes().find(|(slot, _)| slot.name == *name)
        }
        InputSource::UserFeature(name) => {
            features.user_probes().find(|(slot, _)| slot.name == *name)
        }
        InputSource::RequestFeature(name) => {
            features.request_probes().find(|(slot, _)| slot.name == *name)
        }
        InputSource::CandidateGiven(name) => {
            features.candidate_probes().find(|(slot, _)| slot.name == *name)
        }
        InputSource::HistoryAction => {
            features.history_probes().find(|(slot, _)| slot.name == ACTION)
        }
        InputSource::HistoryValue => features.history_probes().find(|(slot, _)| slot.name == VALUE),
        _ => None,
    }
}
