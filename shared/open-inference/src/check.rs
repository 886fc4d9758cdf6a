//! Whether a model on another server has the border of the bundle's graph.

use plugrank_bundle::GraphSpec;

use crate::{ModelMetadata, TensorMetadata};

/// Holds a model's inputs and outputs against the graph's.
///
/// # Errors
/// The first difference, by the tensor's name, and what would mend it.
pub(crate) fn check(graph: &GraphSpec, found: &ModelMetadata) -> Result<(), String> {
    if found.inputs.is_empty() {
        return Err("it does not say what it reads; declare its `inputs` and `outputs` there (of MLServer: in \
             model-settings.json, of Triton: in config.pbtxt)"
            .to_owned());
    }
    let reads = graph.inputs.iter();
    for wanted in reads.map(|of| TensorMetadata::from_spec(&of.name, of.dtype, &of.shape)) {
        same("input", &wanted, &found.inputs)?;
    }
    let known = |tensor: &&TensorMetadata| graph.inputs.iter().any(|of| of.name == tensor.name);
    if let Some(more) = found.inputs.iter().find(|tensor| !known(tensor)) {
        return Err(format!(
            "it reads input `{}`, which the bundle's graph does not; deploy the bundle's {} there",
            more.name, graph.file
        ));
    }
    let answers = graph.outputs.iter();
    for wanted in answers.map(|of| TensorMetadata::from_spec(&of.name, of.dtype, &of.shape)) {
        same("output", &wanted, &found.outputs)?;
    }
    Ok(())
}

fn same(kind: &str, wanted: &TensorMetadata, among: &[TensorMetadata]) -> Result<(), String> {
    let TensorMetadata { name, datatype, shape } = wanted;
    let Some(found) = among.iter().find(|tensor| tensor.name == *name) else {
        let names: Vec<&str> = among.iter().map(|tensor| tensor.name.as_str()).collect();
        return Err(format!(
            "it has no {kind} `{name}`, only {}; deploy the bundle's graph there",
            names.join(", ")
        ));
    };
    if found.datatype != *datatype {
        return Err(format!(
            "{kind} `{name}` is {} there and {datatype} in the bundle; deploy the bundle's graph there",
            found.datatype
        ));
    }
    // What may be of any length there may be of the bundle's.
    let fits = |(there, here): (&i64, &i64)| *there == -1 || there == here;
    if found.shape.len() != shape.len() || !found.shape.iter().zip(shape).all(fits) {
        return Err(format!(
            "{kind} `{name}` is {:?} there and {shape:?} in the bundle (-1: any length); deploy the \
             bundle's graph there, with -1 where the bundle has it",
            found.shape
        ));
    }
    Ok(())
}
