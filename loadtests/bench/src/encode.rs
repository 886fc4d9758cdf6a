//! Item records, made by the bundle's graphs as the server makes them.

use anyhow::{Context, Result, bail};
use plugrank_bundle::{
    Bundle, FeatureEncoder, GraphName, ImagePreprocessor, InputSource, TextPreprocessor,
};
use plugrank_dataset::{DatasetFolder, DatasetItem};
use plugrank_inference::{Library, Session, SessionOptions, Tensor, TensorData};

use crate::item_inputs::{self, EncodedItem};

/// The graphs that make item records.
pub(crate) struct ItemEncoders<'a> {
    bundle: &'a Bundle,
    features: &'a FeatureEncoder,
    text: Option<(TextPreprocessor, Session)>,
    image: Option<(ImagePreprocessor, Session)>,
    item: Session,
}

impl<'a> ItemEncoders<'a> {
    pub(crate) fn load(
        library: &Library,
        bundle: &'a Bundle,
        features: &'a FeatureEncoder,
    ) -> Result<Self> {
        let text = TextPreprocessor::load(bundle)?;
        let image = ImagePreprocessor::from_bundle(bundle);
        let load = |graph| session(library, bundle, graph);
        Ok(Self {
            text: text
                .map(|text| Ok::<_, anyhow::Error>((text, load(GraphName::TextEncoder)?)))
                .transpose()?,
            image: image
                .map(|image| Ok::<_, anyhow::Error>((image, load(GraphName::ImageEncoder)?)))
                .transpose()?,
            item: load(GraphName::ItemEncoder)?,
            bundle,
            features,
        })
    }

    /// An item's modal vector and features.
    pub(crate) fn content(
        &mut self,
        folder: &DatasetFolder,
        row: &DatasetItem,
    ) -> Result<EncodedItem> {
        let text = row.item.encoder_text();
        let (mut modal, mut present) = (Vec::new(), Vec::new());
        if let Some((preprocessor, session)) = &mut self.text {
            let dim = self.bundle.manifest().modal.text.as_ref().map_or(0, |part| part.dim);
            let spec = self.bundle.graph(GraphName::TextEncoder).context("no text encoder")?;
            let vector = match text.is_empty() {
                true => None,
                false => {
                    let tokens = preprocessor.encode(vec![text]).map_err(anyhow::Error::msg)?;
                    let shape = vec![tokens.rows, tokens.width];
                    let ids = Tensor { shape: shape.clone(), data: TensorData::I64(tokens.ids) };
                    let mask = Tensor { shape, data: TensorData::I64(tokens.mask) };
                    let of = |source: &InputSource| {
                        if *source == InputSource::TextMask { &mask } else { &ids }
                    };
                    let inputs: Vec<_> = spec
                        .inputs
                        .iter()
                        .map(|one| (one.name.as_str(), of(&one.source)))
                        .collect();
                    Some(floats(session.run(&inputs)?.into_iter().next())?)
                }
            };
            push(vector, dim, &mut modal, &mut present);
        }
        if let Some((preprocessor, session)) = &mut self.image {
            let dim = self.bundle.manifest().modal.image.as_ref().map_or(0, |part| part.dim);
            let spec = self.bundle.graph(GraphName::ImageEncoder).context("no image encoder")?;
            let name = spec.inputs.first().map_or("", |input| input.name.as_str());
            let vector = match &row.image {
                None => None,
                Some(path) => {
                    let pixels = preprocessor.pixels(&folder.image(path)?)?;
                    let (height, width) = preprocessor.size();
                    let data = TensorData::F32(pixels);
                    let pixels = Tensor { shape: vec![1, 3, height, width], data };
                    Some(floats(session.run(&[(name, &pixels)])?.into_iter().next())?)
                }
            };
            push(vector, dim, &mut modal, &mut present);
        }
        Ok(EncodedItem { modal, present, features: self.features.item(&row.item) })
    }

    /// Records of items, row by row.
    pub(crate) fn records(&mut self, items: &[EncodedItem]) -> Result<Vec<f32>> {
        let spec = self.bundle.graph(GraphName::ItemEncoder).context("no item encoder")?;
        let modal = &self.bundle.manifest().modal;
        let tensors = item_inputs::tensors(spec, modal, self.features, items)?;
        let outputs = run(&mut self.item, &tensors)?;
        let layout = self.bundle.record();
        let mut records = vec![0.0; items.len() * layout.dim];
        for part in &layout.parts {
            let place = self.item.outputs().iter().position(|port| port.name == part.name);
            let output = place.and_then(|place| outputs.get(place)).cloned();
            let values = floats(output).with_context(|| format!("output `{}`", part.name))?;
            for (row, values) in values.chunks_exact(part.dim).enumerate() {
                let start = row * layout.dim + part.offset;
                records[start..start + part.dim].copy_from_slice(values);
            }
        }
        Ok(records)
    }
}

/// Loads a graph of the bundle, with one thread.
pub(crate) fn session(library: &Library, bundle: &Bundle, graph: GraphName) -> Result<Session> {
    let path = bundle.graph_path(graph).with_context(|| format!("the bundle has no {graph}"))?;
    Ok(Session::load(library, &path, SessionOptions::default())?)
}

/// Runs a graph on inputs that are owned.
pub(crate) fn run(session: &mut Session, inputs: &[(String, Tensor)]) -> Result<Vec<Tensor>> {
    let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    Ok(session.run(&inputs)?)
}

/// A tensor's elements, which must be f32.
pub(crate) fn floats(tensor: Option<Tensor>) -> Result<Vec<f32>> {
    match tensor.context("a graph answered too few outputs")?.data {
        TensorData::F32(values) => Ok(values),
        other => {
            bail!("the benchmark's peers know f32 only, and a graph answered {}", other.dtype())
        }
    }
}

fn push(vector: Option<Vec<f32>>, dim: usize, modal: &mut Vec<f32>, present: &mut Vec<f32>) {
    present.push(f32::from(u8::from(vector.is_some())));
    modal.extend(vector.unwrap_or_else(|| vec![0.0; dim]));
}
