//! What the item encoder reads.

use anyhow::{Context, Result, bail};
use plugrank_bundle::{Dim, FeatureEncoder, GraphSpec, InputSource, ItemFeatures, manifest::Modal};
use plugrank_inference::{Tensor, TensorData, batcher::sources::feature_block};

/// One item, as the item encoder reads it.
pub(crate) struct EncodedItem {
    /// Text part, then image part; zeros where absent.
    pub(crate) modal: Vec<f32>,
    /// 1 for each part there is.
    pub(crate) present: Vec<f32>,
    /// Cells of its features, one after another.
    pub(crate) features: ItemFeatures,
}

/// The inputs of a run over `items`, in the graph's order.
pub(crate) fn tensors(
    spec: &GraphSpec,
    modal: &Modal,
    features: &FeatureEncoder,
    items: &[EncodedItem],
) -> Result<Vec<(String, Tensor)>> {
    let count = items.len();
    let tensor = |source: &InputSource, shape: &[Dim]| {
        Ok(match source {
            InputSource::ItemModal => {
                let values = items.iter().flat_map(|item| item.modal.iter().copied()).collect();
                Tensor { shape: vec![count, modal.dim], data: TensorData::F32(values) }
            }
            InputSource::ItemModalPresent => {
                let values = items.iter().flat_map(|item| item.present.iter().copied()).collect();
                Tensor { shape: vec![count, modal.parts()], data: TensorData::F32(values) }
            }
            InputSource::ItemFeature(name) => {
                let slot = features.item_slots().iter().find(|slot| slot.name == *name);
                let slot =
                    slot.with_context(|| format!("the bundle has no item feature `{name}`"))?;
                let data = feature_block(slot, items.iter().map(|item| &*item.features), count);
                Tensor { shape: lengths(shape, count, 0), data }
            }
            other => bail!("the benchmark cannot fill `{other}` of item_encoder"),
        })
    };
    let inputs = spec.inputs.iter();
    inputs.map(|input| Ok((input.name.clone(), tensor(&input.source, &input.shape)?))).collect()
}

/// A shape with `history` entries, and `rows` of whatever else varies.
pub(crate) fn lengths(shape: &[Dim], rows: usize, history: usize) -> Vec<usize> {
    let length = |dim: &Dim| match dim {
        Dim::Fixed(length) => *length,
        Dim::Named(name) if name == "history" => history,
        Dim::Named(_) => rows,
    };
    shape.iter().map(length).collect()
}
