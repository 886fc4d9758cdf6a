//! Runs graphs on what the reference rows do not hold: the ends of every feature's range.

use plugrank_bundle::{GraphName, GraphSpec, TensorDtype};

use super::{VerifyError, reference::Reference};
use crate::{InputRanges, LookupError, Session, Tensor, TensorData};

/// Runs a graph with each feature at its ends: missing, unknown and the last id of a category, missing
/// and far out of a number; and with the last bucket of times, the longest history and the last token. The
/// graph must look each id up, and give finite numbers.
pub(super) fn check(
    graph: GraphName,
    spec: &GraphSpec,
    session: &mut Session,
    reference: &Reference,
    ranges: &InputRanges<'_>,
) -> Result<(), VerifyError> {
    for input in &spec.inputs {
        let Some(range) = ranges.range(&input.source) else { continue };
        for &cell in &range.cells {
            let mut inputs = reference.inputs(graph, spec)?;
            let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == input.name) else {
                continue;
            };
            let filled = filled(tensor, range.dtype, cell);
            for (name, tensor) in &mut inputs {
                if *name == input.name {
                    *tensor = &filled;
                }
            }
            let outputs = match (session.run(&inputs), range.last_id()) {
                (Ok(outputs), _) => outputs,
                (Err(error), Some(last)) => {
                    let (input, message) = (range.name, error.to_string());
                    return Err(LookupError { graph, input, id: cell.into(), last, message }.into());
                }
                (Err(error), None) => return Err(error.into()),
            };
            let finite = |tensor: &Tensor| tensor.data.to_f64().iter().all(|x| x.is_finite());
            if let Some(place) = outputs.iter().position(|tensor| !finite(tensor)) {
                let output = session.outputs().get(place).map(|port| port.name.clone());
                return Err(VerifyError::NotFinite {
                    graph,
                    output: output.unwrap_or_default(),
                    input: range.name,
                    value: shown(range.dtype, cell),
                });
            }
        }
    }
    Ok(())
}

fn filled(tensor: &Tensor, dtype: TensorDtype, cell: u32) -> Tensor {
    let count = tensor.data.len();
    let data = match dtype {
        TensorDtype::I64 => TensorData::I64(vec![cell.into(); count]),
        TensorDtype::F32 | TensorDtype::F16 => TensorData::F32(vec![f32::from_bits(cell); count]),
    };
    Tensor { shape: tensor.shape.clone(), data }
}

fn shown(dtype: TensorDtype, cell: u32) -> String {
    match dtype {
        TensorDtype::I64 => format!("id {cell}"),
        TensorDtype::F32 | TensorDtype::F16 => f32::from_bits(cell).to_string(),
    }
}
