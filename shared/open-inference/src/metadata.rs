//! What a server and its models say of themselves.

use plugrank_bundle::{Dim, GraphSpec};
use plugrank_contract::TensorDtype;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{BINARY, TIMEOUTS, datatype};

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerMetadata {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// What it can do beyond the protocol's core.
    #[serde(default, deserialize_with = "null_is_none")]
    pub extensions: Vec<String>,
}

impl ServerMetadata {
    /// This one.
    #[must_use]
    pub fn ours() -> Self {
        Self {
            name: "plugrank".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: vec![BINARY.to_owned(), TIMEOUTS.to_owned()],
        }
    }

    pub(crate) fn can(&self, extension: &str) -> bool {
        self.extensions.iter().any(|one| one == extension)
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// The versions there are.
    #[serde(default, deserialize_with = "null_is_none")]
    pub versions: Vec<String>,
    /// What it runs on.
    #[serde(default)]
    pub platform: String,
    /// What it reads.
    #[serde(default, deserialize_with = "null_is_none")]
    pub inputs: Vec<TensorMetadata>,
    /// What it answers.
    #[serde(default, deserialize_with = "null_is_none")]
    pub outputs: Vec<TensorMetadata>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TensorMetadata {
    /// Its name.
    pub name: String,
    /// Element type, e.g. `FP32`.
    pub datatype: String,
    /// Dimensions; -1: any length.
    pub shape: Vec<i64>,
}

impl ModelMetadata {
    /// A graph of a bundle.
    #[must_use]
    pub fn from_graph(name: &str, version: &str, graph: &GraphSpec) -> Self {
        let inputs = graph.inputs.iter();
        let outputs = graph.outputs.iter();
        Self {
            name: name.to_owned(),
            versions: vec![version.to_owned()],
            platform: "onnxruntime_onnx".to_owned(),
            inputs: inputs
                .map(|of| TensorMetadata::from_spec(&of.name, of.dtype, &of.shape))
                .collect(),
            outputs: outputs
                .map(|of| TensorMetadata::from_spec(&of.name, of.dtype, &of.shape))
                .collect(),
        }
    }
}

impl TensorMetadata {
    pub(crate) fn from_spec(name: &str, dtype: TensorDtype, shape: &[Dim]) -> Self {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => i64::try_from(*length).unwrap_or(i64::MAX),
            Dim::Named(_) => -1,
        };
        Self {
            name: name.to_owned(),
            datatype: datatype::name(dtype).to_owned(),
            shape: shape.iter().map(length).collect(),
        }
    }
}

/// Some servers write `null` for an empty list.
fn null_is_none<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
