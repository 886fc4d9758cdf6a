//! Runs graphs on what the reference rows do not hold: the ends of every vocabulary.

use plugrank_bundle::{FeatureEncoder, GraphName, GraphSpec, Source, features};

use super::{VerifyError, reference::Reference};
use crate::{Session, Tensor, TensorData};

/// Runs a graph with every id of each feature at its ends: missing, unknown, the vocabulary's last.
/// The graph must look each up, and give finite numbers.
pub(super) fn check(
    graph: GraphName,
    spec: &GraphSpec,
    session: &mut Session,
    reference: &Reference,
    features: &FeatureEncoder,
) -> Result<(), VerifyError> {
    for input in &spec.inputs {
        let Some((feature, last)) = feature_of(&input.source, features) else { continue };
        for id in [features::MISSING, features::UNKNOWN, last] {
            let mut inputs = reference.inputs(graph, spec)?;
            let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == input.name) else {
                continue;
            };
            let filled = Tensor {
                shape: tensor.shape.clone(),
                data: TensorData::I64(vec![id; tensor.data.len()]),
            };
            for (name, tensor) in &mut inputs {
                if *name == input.name {
                    *tensor = &filled;
                }
            }
            let outputs = session.run(&inputs).map_err(|error| VerifyError::Vocabulary {
                graph,
                feature: feature.to_owned(),
                id,
                last,
                message: error.to_string(),
            })?;
            let finite = |tensor: &Tensor| tensor.data.to_f64().iter().all(|x| x.is_finite());
            if let Some(place) = outputs.iter().position(|tensor| !finite(tensor)) {
                let output = session.outputs().get(place).map(|port| port.name.clone());
                return Err(VerifyError::NotFinite {
                    graph,
                    output: output.unwrap_or_default(),
                    feature: feature.to_owned(),
                    id,
                });
            }
        }
    }
    Ok(())
}

/// The feature that a source gives ids of, and its largest id.
fn feature_of<'a>(source: &Source, features: &'a FeatureEncoder) -> Option<(&'a str, i64)> {
    match source {
        Source::ItemFeature(name)
        | Source::HistoryFeature(name)
        | Source::CandidateFeature(name) => {
            features.largest_item_ids().find(|(feature, _)| feature == name)
        }
        Source::UserFeature(name) => {
            features.largest_user_ids().find(|(feature, _)| feature == name)
        }
        _ => None,
    }
}
