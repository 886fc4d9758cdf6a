//! The graphs that make item records, owned by one thread at a time.

use std::sync::Arc;

use plugrank_bundle::{
    Bundle, Dim, FeatureEncoder, GraphName, ImagePreprocessor, InputSource, ItemRecordLayout,
    TextPreprocessor, features::FeatureSlot, manifest::Modal,
};
use plugrank_inference::{
    InputRanges, Library, Session, SessionOptions, Tensor, TensorData,
    batcher::sources::feature_block,
};

use crate::{error::EncodingError, modal::ModalVector, record_set::Record};

/// What an item-encoder input reads.
#[derive(Clone, Debug)]
enum ItemInput {
    Modal,
    Present,
    /// A feature, and whether its tensor has a dimension for the length.
    Feature(FeatureSlot, bool),
}

/// What all threads read of the bundle.
pub(crate) struct ItemSchema {
    pub(crate) modal: Modal,
    pub(crate) layout: ItemRecordLayout,
    pub(crate) features: Arc<FeatureEncoder>,
    text: Option<TextPreprocessor>,
    image: Option<ImagePreprocessor>,
    inputs: Vec<(String, ItemInput)>,
    /// Inputs of the text encoder, each with what it reads.
    text_inputs: Vec<(String, InputSource)>,
    /// The image encoder's input.
    image_input: String,
}

impl ItemSchema {
    pub(crate) fn load(
        bundle: &Bundle,
        features: Arc<FeatureEncoder>,
    ) -> Result<Self, EncodingError> {
        let graph = GraphName::ItemEncoder;
        let spec = bundle.graph(graph).ok_or(EncodingError::NoGraph(graph))?;
        let mut inputs = Vec::with_capacity(spec.inputs.len());
        for input in &spec.inputs {
            let reads = match &input.source {
                InputSource::ItemModal => ItemInput::Modal,
                InputSource::ItemModalPresent => ItemInput::Present,
                InputSource::ItemFeature(name) => {
                    let slot = features.item_slots().iter().find(|slot| slot.name == *name);
                    let slot = slot.ok_or_else(|| EncodingError::source(graph, &input.source))?;
                    let listed = input.shape.iter().any(|dim| matches!(dim, Dim::Fixed(_)));
                    ItemInput::Feature(slot.clone(), listed)
                }
                other => return Err(EncodingError::source(graph, other)),
            };
            inputs.push((input.name.clone(), reads));
        }
        let of = |graph| bundle.graph(graph).map(|spec| spec.inputs.iter()).into_iter().flatten();
        let named = of(GraphName::TextEncoder);
        let text_inputs = named.map(|input| (input.name.clone(), input.source.clone())).collect();
        let image_input = of(GraphName::ImageEncoder).next().map(|input| input.name.clone());
        Ok(Self {
            modal: bundle.manifest().modal.clone(),
            layout: bundle.record().clone(),
            text: TextPreprocessor::load(bundle)?,
            image: ImagePreprocessor::from_bundle(bundle),
            features,
            inputs,
            text_inputs,
            image_input: image_input.unwrap_or_default(),
        })
    }

    /// Whether images are read at all.
    pub(crate) fn reads_images(&self) -> bool {
        self.image.is_some()
    }
}

/// An item's content, as the encoders read it.
#[derive(Debug)]
pub(crate) struct Content {
    /// Empty when the item has no text.
    pub(crate) text: String,
    /// Image file.
    pub(crate) image: Option<Vec<u8>>,
}

/// What the item encoder reads of one item.
pub(crate) struct EncoderRow<'a> {
    pub(crate) modal: &'a ModalVector,
    pub(crate) features: &'a [u32],
}

/// The graphs.
pub(crate) struct ItemModels {
    schema: Arc<ItemSchema>,
    text: Option<Session>,
    image: Option<Session>,
    item: Session,
    /// Place of each record part among the item encoder's outputs.
    places: Vec<usize>,
}

impl ItemModels {
    /// Loads the item encoder, and with `encoders` the text and image encoders as well.
    pub(crate) fn load(
        library: &Library,
        bundle: &Bundle,
        schema: &Arc<ItemSchema>,
        options: SessionOptions,
        encoders: bool,
    ) -> Result<Self, EncodingError> {
        let load = |graph| {
            let path = bundle.graph_path(graph).ok_or(EncodingError::NoGraph(graph))?;
            Ok::<_, EncodingError>(Session::load(library, &path, options)?)
        };
        let text = schema.text.as_ref().filter(|_| encoders);
        let image = schema.image.as_ref().filter(|_| encoders);
        let item = load(GraphName::ItemEncoder)?;
        let place = |name: &str| item.outputs().iter().position(|port| port.name == name);
        let places =
            schema.layout.parts.iter().map(|part| {
                place(&part.name).ok_or_else(|| EncodingError::Output(part.name.clone()))
            });
        Ok(Self {
            text: text.map(|_| load(GraphName::TextEncoder)).transpose()?,
            image: image.map(|_| load(GraphName::ImageEncoder)).transpose()?,
            places: places.collect::<Result<_, _>>()?,
            item,
            schema: Arc::clone(schema),
        })
    }

    /// Has the graphs look up the largest ids that they will be given.
    pub(crate) fn check_lookups(&mut self, bundle: &Bundle) -> Result<(), EncodingError> {
        let schema = Arc::clone(&self.schema);
        let ranges = InputRanges::new(bundle, &schema.features, schema.text.as_ref());
        ranges.check(GraphName::ItemEncoder, |inputs| self.item.probe(inputs))?;
        if let Some(text) = &mut self.text {
            ranges.check(GraphName::TextEncoder, |inputs| text.probe(inputs))?;
        }
        Ok(())
    }

    /// Modal vectors of contents, in their order, and how many images could not be used.
    pub(crate) fn modal(
        &mut self,
        contents: &[&Content],
    ) -> Result<(Vec<ModalVector>, usize), String> {
        let schema = Arc::clone(&self.schema);
        let mut vectors = vec![ModalVector::absent(&schema.modal); contents.len()];
        let (mut texts, mut pixels, mut bad) = (Batch::default(), Batch::default(), 0);
        for (row, content) in contents.iter().enumerate() {
            if schema.text.is_some() && !content.text.is_empty() {
                texts.push(row, content.text.clone());
            }
            if let (Some(image), Some(bytes)) = (&schema.image, &content.image) {
                match image.pixels(bytes) {
                    Ok(values) => pixels.push(row, values),
                    Err(error) => {
                        tracing::warn!(%error, "an image counts as absent");
                        bad += 1;
                    }
                }
            }
        }
        if let (Some(text), Some(session), false) = (&schema.text, &mut self.text, texts.is_empty())
        {
            let tokens = text.encode(texts.values)?;
            let shape = vec![tokens.rows, tokens.width];
            let ids = Tensor { shape: shape.clone(), data: TensorData::I64(tokens.ids) };
            let mask = Tensor { shape, data: TensorData::I64(tokens.mask) };
            let tensor =
                |source: &InputSource| if *source == InputSource::TextMask { &mask } else { &ids };
            let named = schema.text_inputs.iter();
            let inputs: Vec<_> =
                named.map(|(name, source)| (name.as_str(), tensor(source))).collect();
            let output = floats(session.run(&inputs).map_err(|error| error.to_string())?)?;
            spread(&output, &texts.rows, 0, 0, &mut vectors)?;
        }
        if let (Some(image), Some(session), false) =
            (&schema.image, &mut self.image, pixels.is_empty())
        {
            let (height, width) = image.size();
            let shape = vec![pixels.rows.len(), 3, height, width];
            let pixel_values = Tensor { shape, data: TensorData::F32(pixels.values.concat()) };
            let output = session.run(&[(&schema.image_input, &pixel_values)]);
            let output = floats(output.map_err(|error| error.to_string())?)?;
            let part = usize::from(schema.text.is_some());
            let offset = schema.modal.text.as_ref().map_or(0, |text| text.dim);
            spread(&output, &pixels.rows, part, offset, &mut vectors)?;
        }
        Ok((vectors, bad))
    }

    /// Records of items, in their order.
    pub(crate) fn records(&mut self, rows: &[EncoderRow<'_>]) -> Result<Vec<Record>, String> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let schema = Arc::clone(&self.schema);
        let tensors: Vec<(&str, Tensor)> = schema
            .inputs
            .iter()
            .map(|(name, reads)| (name.as_str(), input(reads, &schema.modal, rows)))
            .collect();
        let inputs: Vec<(&str, &Tensor)> =
            tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let outputs = self.item.run(&inputs).map_err(|error| error.to_string())?;
        let width = schema.layout.bytes();
        let mut block = vec![0; rows.len() * width];
        let size = schema.layout.dtype.size();
        for (part, place) in schema.layout.parts.iter().zip(&self.places) {
            let output = outputs.get(*place).ok_or("the item encoder answered too few outputs")?;
            let bytes = output.data.to_le_bytes();
            let part_width = part.dim * size;
            if bytes.len() != rows.len() * part_width {
                return Err(format!("output `{}` has the shape {:?}", part.name, output.shape));
            }
            for row in 0..rows.len() {
                let start = row * width + part.offset * size;
                block[start..start + part_width]
                    .copy_from_slice(&bytes[row * part_width..(row + 1) * part_width]);
            }
        }
        Ok(block.chunks_exact(width).map(Record::from).collect())
    }
}

/// Values of some of the rows.
struct Batch<T> {
    rows: Vec<usize>,
    values: Vec<T>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new() }
    }
}

impl<T> Batch<T> {
    fn push(&mut self, row: usize, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn input(reads: &ItemInput, modal: &Modal, rows: &[EncoderRow<'_>]) -> Tensor {
    let count = rows.len();
    match reads {
        ItemInput::Modal => {
            let values = rows.iter().flat_map(|row| row.modal.values.iter().copied()).collect();
            Tensor { shape: vec![count, modal.dim], data: TensorData::F32(values) }
        }
        ItemInput::Present => {
            let flags = rows.iter().flat_map(|row| row.modal.present.iter());
            let values = flags.map(|present| f32::from(u8::from(*present))).collect();
            Tensor { shape: vec![count, modal.parts()], data: TensorData::F32(values) }
        }
        ItemInput::Feature(slot, listed) => {
            let shape = if *listed { vec![count, slot.length] } else { vec![count] };
            Tensor { shape, data: feature_block(slot, rows.iter().map(|row| row.features), count) }
        }
    }
}

fn floats(outputs: Vec<Tensor>) -> Result<Vec<f32>, String> {
    match outputs.into_iter().next().map(|tensor| tensor.data) {
        Some(TensorData::F32(values)) => Ok(values),
        Some(other) => Err(format!("an encoder answered {}, expected f32", other.dtype())),
        None => Err("an encoder answered nothing".to_owned()),
    }
}

/// Writes the encoder's rows to their places in the modal vectors.
fn spread(
    output: &[f32],
    rows: &[usize],
    part: usize,
    offset: usize,
    vectors: &mut [ModalVector],
) -> Result<(), String> {
    let width = output.len() / rows.len().max(1);
    for (values, row) in output.chunks_exact(width.max(1)).zip(rows) {
        let vector = &mut vectors[*row];
        let place = vector.values.get_mut(offset..offset + width);
        let place = place.ok_or_else(|| format!("an encoder answered {width} elements a row"))?;
        place.copy_from_slice(values);
        vector.present[part] = true;
    }
    Ok(())
}
