//! What an item record consists of.

use plugrank_contract::Dtype;

use crate::{BundleError, GraphName, Manifest, TensorDtype};

/// One output of `item_encoder` within the record.
///
/// [`ItemRecordLayout`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPart {
    /// Name of the output.
    pub name: String,
    /// First element.
    pub offset: usize,
    /// Elements.
    pub dim: usize,
}

/// The outputs of `item_encoder`, concatenated in its order: what is cached of an item.
///
/// ```
/// use plugrank_bundle::{ItemRecordLayout, record::RecordPart};
/// use plugrank_contract::Dtype;
///
/// let part = |name: &str, offset, dim| RecordPart { name: name.to_owned(), offset, dim };
/// let layout = ItemRecordLayout {
///     parts: vec![part("item_vector", 0, 2), part("gate", 2, 1)],
///     dim: 3,
///     dtype: Dtype::F16,
///     vector: Some(0),
/// };
/// assert_eq!((layout.bytes(), layout.vector().unwrap().dim), (6, 2));
/// let gate = layout.part("gate").unwrap();
/// assert_eq!(layout.slice(gate, &[1, 2, 3, 4, 5, 6]), [5, 6]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRecordLayout {
    /// The parts, in order.
    pub parts: Vec<RecordPart>,
    /// Elements of a record.
    pub dim: usize,
    /// Element type of all parts.
    pub dtype: Dtype,
    /// Index of the part that candidates are found by, where the bundle has one.
    pub vector: Option<usize>,
}

impl ItemRecordLayout {
    pub(crate) fn from_manifest(manifest: &Manifest) -> Result<Self, BundleError> {
        let key = "graphs.item_encoder.outputs";
        let outputs = &manifest.graphs[&GraphName::ItemEncoder].outputs;
        let mut parts = Vec::with_capacity(outputs.len());
        let (mut offset, mut dtype) = (0, None);
        for output in outputs {
            let dim = output.width().filter(|width| *width > 0 && output.shape.len() == 2);
            let dim = dim.ok_or_else(|| {
                let message = format!("`{}` must have the shape [\"items\", number]", output.name);
                BundleError::manifest(key, message)
            })?;
            let of_output = match output.dtype {
                TensorDtype::F16 => Dtype::F16,
                TensorDtype::F32 => Dtype::F32,
                TensorDtype::I64 => {
                    let message = format!("`{}` is i64; a record holds f16 or f32", output.name);
                    return Err(BundleError::manifest(key, message));
                }
            };
            if *dtype.get_or_insert(of_output) != of_output {
                return Err(BundleError::manifest(key, "all outputs must have one dtype"));
            }
            parts.push(RecordPart { name: output.name.clone(), offset, dim });
            offset += dim;
        }
        let dtype = dtype.ok_or_else(|| BundleError::manifest(key, "there is no output"))?;
        let place = |wanted: &String| {
            parts.iter().position(|part| part.name == *wanted).ok_or_else(|| {
                let message = format!("item_encoder has no output `{wanted}`");
                BundleError::manifest("retrieval.item_vector", message)
            })
        };
        let vector = manifest.retrieval.item_vector.as_ref().map(place).transpose()?;
        Ok(Self { parts, dim: offset, dtype, vector })
    }

    /// Bytes of a record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.dim * self.dtype.size()
    }

    /// The part of this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&RecordPart> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// The part that candidates are found by, where the bundle has one.
    #[must_use]
    pub fn vector(&self) -> Option<&RecordPart> {
        self.parts.get(self.vector?)
    }

    /// A part's bytes within a record's.
    #[must_use]
    pub fn slice<'a>(&self, part: &RecordPart, record: &'a [u8]) -> &'a [u8] {
        let size = self.dtype.size();
        &record[part.offset * size..(part.offset + part.dim) * size]
    }
}
