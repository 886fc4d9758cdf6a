//! A graph's file against what the manifest says of it.

use plugrank_bundle::{Dim, GraphName, GraphSpec, TensorDtype};

use super::VerifyError;
use crate::{Port, Session, Tensor};

/// The graph's file must have the inputs and outputs that the manifest says, no more and no fewer.
pub(super) fn check(
    graph: GraphName,
    spec: &GraphSpec,
    session: &Session,
) -> Result<(), VerifyError> {
    let inputs = spec.inputs.iter().map(|input| (&input.name, input.dtype, &input.shape));
    let outputs = spec.outputs.iter().map(|output| (&output.name, output.dtype, &output.shape));
    ports(graph, "input", inputs, session.inputs())?;
    ports(graph, "output", outputs, session.outputs())
}

fn ports<'a>(
    graph: GraphName,
    kind: &str,
    described: impl Iterator<Item = (&'a String, TensorDtype, &'a Vec<Dim>)>,
    real: &[Port],
) -> Result<(), VerifyError> {
    let differs = |message: String| VerifyError::Border { graph, message };
    let mut names = Vec::new();
    for (name, dtype, shape) in described {
        let port = real
            .iter()
            .find(|port| port.name == *name)
            .ok_or_else(|| differs(format!("the graph has no {kind} `{name}`")))?;
        if port.dtype != Some(dtype) {
            let real = port.dtype.map_or_else(|| port.type_name.clone(), |d| d.to_string());
            return Err(differs(format!("{kind} `{name}` is {real} and not {dtype}")));
        }
        let fits = port.shape.len() == shape.len()
            && port.shape.iter().zip(shape).all(|pair| match pair {
                (Dim::Fixed(real), Dim::Fixed(described)) => real == described,
                (Dim::Named(_), Dim::Named(_)) => true,
                // Some exporters lose a width that is fixed in fact; the reference rows show it.
                (Dim::Named(_), Dim::Fixed(_)) => true,
                (Dim::Fixed(_), Dim::Named(_)) => false,
            });
        if !fits {
            let text = |shape: &[Dim]| {
                shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            };
            let (real, described) = (text(&port.shape), text(shape));
            return Err(differs(format!(
                "{kind} `{name}` has the shape [{real}] and not [{described}]"
            )));
        }
        names.push(name);
    }
    match real.iter().find(|port| !names.contains(&&port.name)) {
        Some(port) => {
            Err(differs(format!("the manifest does not name the {kind} `{}`", port.name)))
        }
        None => Ok(()),
    }
}

/// The output of this name among those of a run.
pub(super) fn output<'a>(
    graph: GraphName,
    session: &Session,
    outputs: &'a [Tensor],
    name: &str,
) -> Result<&'a Tensor, VerifyError> {
    let position = session.outputs().iter().position(|port| port.name == name);
    position.and_then(|position| outputs.get(position)).ok_or_else(|| VerifyError::Border {
        graph,
        message: format!("the graph has no output `{name}`"),
    })
}
