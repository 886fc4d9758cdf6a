//! `manifest.json`, key by key.

use std::{collections::BTreeMap, fmt};

use chrono_tz::Tz;
pub use plugrank_contract::TensorDtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use crate::features::{Derive, Feature, FeatureKind, Features, Observed, Transform};
use crate::{Calibration, GraphName, InputSource};

/// The format this crate reads. Manifests of [`OLD_FORMAT`] are brought into it when they are read.
pub const FORMAT: u32 = 2;
/// The format before.
pub const OLD_FORMAT: u32 = 1;

/// What a bundle that names no task predicts.
pub const CLICK: &str = "click";

/// The contents of `manifest.json`.
///
/// ```
/// use plugrank_bundle::Manifest;
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/simshop/bundle/manifest.json");
/// let manifest: Manifest = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
/// assert_eq!(manifest.main_task(), "click");
/// assert!(manifest.graphs.values().all(|graph| manifest.files.contains_key(&graph.file)));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// Version of the bundle; changes with any file. Item records and user states are cached by it.
    pub version: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// Version of the text and image encoders; modal vectors are cached by it.
    pub encoder_version: String,
    /// What the data set's time is.
    pub time: TimeKind,
    /// Where hours and weekdays of requests are read.
    #[serde(default = "utc")]
    pub timezone: Tz,
    /// Every file but the manifest.
    pub files: BTreeMap<String, FileEntry>,
    /// Content vectors.
    pub modal: Modal,
    /// Feature schema.
    pub features: Features,
    /// How much history the model reads.
    pub history: HistoryLengths,
    /// The graphs.
    pub graphs: BTreeMap<GraphName, GraphSpec>,
    /// What `unified` and `idrec` predict: one output each. The first is the main one.
    #[serde(default = "click")]
    pub tasks: Vec<String>,
    /// What a candidate's `ctr` is.
    #[serde(default)]
    pub value: ValueTask,
    /// What retrieval uses.
    #[serde(default)]
    pub retrieval: RetrievalSpec,
    /// Calibration of the outputs of `unified` and `idrec`, by task.
    #[serde(default)]
    pub calibration: BTreeMap<GraphName, BTreeMap<String, Calibration>>,
    /// What training measured, free form.
    #[serde(default)]
    pub metrics: serde_json::Value,
    /// Reference rows.
    pub reference: Reference,
}

fn utc() -> Tz {
    Tz::UTC
}

fn click() -> Vec<String> {
    vec![CLICK.to_owned()]
}

impl Manifest {
    /// The task whose probability is a candidate's `ctr`.
    #[must_use]
    pub fn main_task(&self) -> &str {
        let first = self.tasks.first().map_or(CLICK, String::as_str);
        self.value.task.as_deref().unwrap_or(first)
    }
}

/// What a candidate's `ctr` is.
///
/// ```
/// use plugrank_bundle::manifest::ValueTask;
///
/// let value: ValueTask = serde_json::from_str(r#"{"task": "purchase"}"#).unwrap();
/// assert_eq!(value.task.as_deref(), Some("purchase"));
/// assert_eq!(ValueTask::default().task, None, "the first task");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueTask {
    /// The task; the first when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// What the data set's time is.
///
/// ```
/// use plugrank_bundle::manifest::TimeKind;
///
/// assert_eq!(serde_json::from_str::<TimeKind>("\"order\"").unwrap(), TimeKind::Order);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// Milliseconds since the Unix epoch.
    Ms,
    /// Only an order; every interval is unknown.
    Order,
}

/// Size and checksum of a file.
///
/// ```
/// use plugrank_bundle::manifest::FileEntry;
///
/// let json = r#"{"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "bytes": 0}"#;
/// let empty: FileEntry = serde_json::from_str(json).unwrap();
/// assert_eq!((empty.bytes, empty.sha256.len()), (0, 64));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Content vectors: the text part, then the image part.
///
/// ```
/// use plugrank_bundle::manifest::Modal;
///
/// let json = r#"{"dim": 384, "text": {"graph": "text_encoder", "dim": 384,
///     "tokenizer": "tokenizer.json", "max_tokens": 64}}"#;
/// let modal: Modal = serde_json::from_str(json).unwrap();
/// assert_eq!((modal.parts(), modal.text.unwrap().max_tokens), (1, 64));
/// assert!(modal.image.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modal {
    /// Elements of the modal vector, the sum of the parts'.
    pub dim: usize,
    /// The text part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextPart>,
    /// The image part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImagePart>,
}

impl Modal {
    /// Number of parts: the width of `item.modal_present`.
    #[must_use]
    pub fn parts(&self) -> usize {
        usize::from(self.text.is_some()) + usize::from(self.image.is_some())
    }
}

/// How text becomes a vector.
///
/// [`Modal`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextPart {
    /// The graph; always `text_encoder`.
    pub graph: GraphName,
    /// Elements of its vector.
    pub dim: usize,
    /// The tokenizer's file.
    pub tokenizer: String,
    /// Tokens kept of a text.
    pub max_tokens: usize,
}

/// How an image becomes a vector.
///
/// ```
/// use plugrank_bundle::manifest::ImagePart;
///
/// let json = r#"{"graph": "image_encoder", "dim": 512, "width": 224, "height": 224,
///     "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}"#;
/// let image: ImagePart = serde_json::from_str(json).unwrap();
/// assert_eq!((image.width * image.height, image.dim), (50_176, 512));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagePart {
    /// The graph; always `image_encoder`.
    pub graph: GraphName,
    /// Elements of its vector.
    pub dim: usize,
    /// Pixels a row.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// Mean of each channel (RGB, 0 to 1).
    pub mean: [f32; 3],
    /// Standard deviation of each channel.
    pub std: [f32; 3],
}

/// How much history the model reads.
///
/// ```
/// use plugrank_bundle::manifest::HistoryLengths;
///
/// let history: HistoryLengths = serde_json::from_str(r#"{"clicks": 20, "impressions": 10}"#).unwrap();
/// assert_eq!(history.clicks + history.impressions, 30);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryLengths {
    /// Last clicked entries.
    pub clicks: usize,
    /// Last entries not clicked.
    pub impressions: usize,
}

/// A graph and its border.
///
/// ```
/// use plugrank_bundle::{Dim, GraphSpec, InputSource, TensorDtype};
///
/// let json = r#"{"file": "idrec.onnx",
///     "inputs": [{"name": "mask", "source": "history.mask", "dtype": "f32", "shape": ["users", "history"]}],
///     "outputs": [{"name": "logit", "dtype": "f32", "shape": ["users", "candidates", 1]}]}"#;
/// let graph: GraphSpec = serde_json::from_str(json).unwrap();
/// assert_eq!(graph.inputs[0].source, InputSource::HistoryMask);
/// assert_eq!(graph.inputs[0].shape[1], Dim::Named("history".to_owned()));
/// assert_eq!((graph.outputs[0].width(), graph.outputs[0].dtype), (Some(1), TensorDtype::F32));
/// assert!(!graph.outputs[0].per_history_entry());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// Its file.
    pub file: String,
    /// What goes in, and where it comes from.
    pub inputs: Vec<InputSpec>,
    /// What comes out.
    pub outputs: Vec<TensorSpec>,
}

/// A graph input.
///
/// [`GraphSpec`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Name in the graph.
    pub name: String,
    /// What fills it.
    pub source: InputSource,
    /// Element type.
    pub dtype: TensorDtype,
    /// Dimensions.
    pub shape: Vec<Dim>,
}

/// A graph output.
///
/// [`GraphSpec`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: TensorDtype,
    /// Dimensions.
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// Elements of one row: the last dimension, when it is fixed.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        match self.shape.last() {
            Some(Dim::Fixed(width)) => Some(*width),
            _ => None,
        }
    }

    /// Whether it has one row a history entry.
    #[must_use]
    pub fn per_history_entry(&self) -> bool {
        self.shape.iter().any(|dim| matches!(dim, Dim::Named(name) if name == "history"))
    }
}

/// A dimension: a number, or a name for what varies.
///
/// ```
/// use plugrank_bundle::Dim;
///
/// let shape: Vec<Dim> = serde_json::from_str(r#"["items", 64]"#).unwrap();
/// assert_eq!(shape, [Dim::Named("items".to_owned()), Dim::Fixed(64)]);
/// assert!(serde_json::from_str::<Dim>("\"item\"").is_err(), "the names are a fixed list");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// As long as there are items, users, candidates, history entries...
    Named(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Serialize for Dim {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(length) => length.serialize(to),
            Self::Named(name) => name.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Dim {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Fixed(usize),
            Named(String),
        }
        const NAMES: [&str; 6] = ["items", "users", "candidates", "history", "batch", "tokens"];
        match Raw::deserialize(from) {
            Ok(Raw::Fixed(length)) => Ok(Self::Fixed(length)),
            Ok(Raw::Named(name)) if NAMES.contains(&name.as_str()) => Ok(Self::Named(name)),
            Ok(Raw::Named(name)) => Err(de::Error::custom(format!(
                "unknown dimension `{name}`; expected a number or one of {}",
                NAMES.join(", ")
            ))),
            Err(_) => Err(de::Error::custom("a dimension is a whole number or a name")),
        }
    }
}

/// What retrieval uses.
///
/// ```
/// use plugrank_bundle::manifest::RetrievalSpec;
///
/// let spec: RetrievalSpec = serde_json::from_str(r#"{"item_vector": "item_vector"}"#).unwrap();
/// assert_eq!(spec.item_vector.as_deref(), Some("item_vector"));
/// assert_eq!(RetrievalSpec::default().item_vector, None, "items are not found by vectors");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrievalSpec {
    /// Output of `item_encoder` by whose cosine similarity candidates are found; without one, items
    /// are not found by their vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_vector: Option<String>,
}

/// Reference rows.
///
/// ```
/// use plugrank_bundle::manifest::Reference;
///
/// let json = r#"{"file": "reference.safetensors", "tolerance": 0.002}"#;
/// let reference: Reference = serde_json::from_str(json).unwrap();
/// assert!(reference.tolerance < 0.01);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Their file.
    pub file: String,
    /// Largest difference allowed, absolute.
    pub tolerance: f32,
}
