//! The reference rows of a bundle.

use std::{collections::BTreeMap, fs};

use plugrank_bundle::{Bundle, GraphName, GraphSpec, TensorDtype};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::VerifyError;
use crate::{Tensor, TensorData};

/// Inputs of every graph, and the outputs it must give.
pub(super) struct Reference {
    file: String,
    /// Largest difference allowed, absolute.
    pub(super) tolerance: f32,
    tensors: BTreeMap<String, Tensor>,
}

impl Reference {
    pub(super) fn load(bundle: &Bundle) -> Result<Self, VerifyError> {
        let reference = &bundle.manifest().reference;
        let failed =
            |message: String| VerifyError::Reference { file: reference.file.clone(), message };
        let bytes =
            fs::read(bundle.path(&reference.file)).map_err(|error| failed(error.to_string()))?;
        let stored = SafeTensors::deserialize(&bytes).map_err(|error| failed(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in stored.tensors() {
            let tensor = read(&view).ok_or_else(|| {
                failed(format!("`{name}` is {:?}; a tensor is F16, F32 or I64", view.dtype()))
            })?;
            if tensor.data.to_f64().iter().any(|value| !value.is_finite()) {
                return Err(failed(format!("`{name}` holds values that are no finite numbers")));
            }
            tensors.insert(name, tensor);
        }
        Ok(Self { file: reference.file.clone(), tolerance: reference.tolerance, tensors })
    }

    /// A graph's inputs, by name.
    pub(super) fn inputs<'a>(
        &'a self,
        graph: GraphName,
        spec: &'a GraphSpec,
    ) -> Result<Vec<(&'a str, &'a Tensor)>, VerifyError> {
        let input = |name: &'a str| Ok((name, self.tensor(graph, "in", name)?));
        spec.inputs.iter().map(|spec| input(&spec.name)).collect()
    }

    /// What a graph must give.
    pub(super) fn output(&self, graph: GraphName, name: &str) -> Result<&Tensor, VerifyError> {
        self.tensor(graph, "out", name)
    }

    /// Whether a difference is above what is allowed; NaN always is.
    pub(super) fn is_too_much(&self, difference: f64) -> bool {
        difference.is_nan() || difference > f64::from(self.tolerance)
    }

    fn tensor(&self, graph: GraphName, kind: &str, name: &str) -> Result<&Tensor, VerifyError> {
        let key = format!("{graph}/{kind}/{name}");
        self.tensors.get(&key).ok_or_else(|| VerifyError::Reference {
            file: self.file.clone(),
            message: format!("there is no tensor `{key}`"),
        })
    }
}

fn read(view: &TensorView<'_>) -> Option<Tensor> {
    let dtype = match view.dtype() {
        Dtype::F16 => TensorDtype::F16,
        Dtype::F32 => TensorDtype::F32,
        Dtype::I64 => TensorDtype::I64,
        _ => return None,
    };
    let data = TensorData::from_le_bytes(dtype, view.data())?;
    Some(Tensor { shape: view.shape().to_vec(), data })
}
