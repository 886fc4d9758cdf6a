//! The range of what each input of a graph is given, and whether the graph can look all of it up.

use plugrank_bundle::{
    Bundle, BundleError, Dim, FeatureEncoder, GraphName, GraphSpec, InputSource, TensorDtype,
    TextPreprocessor,
    features::{ACTION, FeatureSlot, VALUE},
    manifest::{InputSpec, TimeKind},
};
use plugrank_contract::history::LAST_TIME_BUCKET;

use crate::{InferenceError, Library, Session, SessionOptions, Tensor, TensorData};

/// A graph is given ids that its table has no row for.
#[derive(Debug, thiserror::Error)]
#[error(
    "{graph}: id {id} of {input}, whose ids go to {last}, cannot be looked up ({message}): the \
     vocabulary, or the list of buckets, is longer than the embedding table; export both together"
)]
pub struct LookupError {
    /// Which graph.
    pub graph: GraphName,
    /// Which feature or source.
    pub input: String,
    /// The id that failed.
    pub id: i64,
    /// The largest id that is given.
    pub last: i64,
    /// What ONNX Runtime said.
    pub message: String,
}

/// Why a graph is refused before it is used.
#[derive(Debug, thiserror::Error)]
pub enum LookupsError {
    /// Its tokenizer cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] InferenceError),
    /// It cannot look up what it will be given.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// What an input may be given: the ends of its range.
pub(crate) struct InputRange {
    /// For messages: "feature `brand`", or the source.
    pub(crate) name: String,
    /// Ids, or numbers, whose cells are their bits.
    pub(crate) dtype: TensorDtype,
    /// The ends.
    pub(crate) cells: Vec<u32>,
}

impl InputRange {
    fn ids(source: &InputSource, last: u32) -> Self {
        let name = format!("`{source}`");
        Self { name, dtype: TensorDtype::I64, cells: vec![0, last] }
    }

    /// The largest id; `None` for numbers.
    pub(crate) fn last_id(&self) -> Option<i64> {
        let last = self.cells.iter().copied().max().map(i64::from);
        last.filter(|_| self.dtype == TensorDtype::I64)
    }
}

/// What the inputs of a bundle's graphs may be given.
pub struct InputRanges<'a> {
    bundle: &'a Bundle,
    features: &'a FeatureEncoder,
    text: Option<&'a TextPreprocessor>,
}

impl<'a> InputRanges<'a> {
    /// Those of a bundle. `text` is of use for the text encoder alone.
    #[must_use]
    pub fn new(
        bundle: &'a Bundle,
        features: &'a FeatureEncoder,
        text: Option<&'a TextPreprocessor>,
    ) -> Self {
        Self { bundle, features, text }
    }

    /// What a source gives; `None` where it gives no ids and no numbers of features.
    pub(crate) fn range(&self, source: &InputSource) -> Option<InputRange> {
        fn named<'f>(
            mut probes: impl Iterator<Item = (&'f FeatureSlot, Vec<u32>)>,
            name: &str,
        ) -> Option<InputRange> {
            let (slot, cells) = probes.find(|(slot, _)| slot.name == name)?;
            Some(InputRange { name: format!("feature `{name}`"), dtype: slot.dtype, cells })
        }
        let manifest = self.bundle.manifest();
        match source {
            InputSource::ItemFeature(name)
            | InputSource::HistoryFeature(name)
            | InputSource::CandidateFeature(name) => named(self.features.item_probes(), name),
            InputSource::UserFeature(name) => named(self.features.user_probes(), name),
            InputSource::RequestFeature(name) => named(self.features.request_probes(), name),
            InputSource::CandidateGiven(name) => named(self.features.candidate_probes(), name),
            InputSource::HistoryAction => named(self.features.history_probes(), ACTION),
            InputSource::HistoryValue => named(self.features.history_probes(), VALUE),
            InputSource::HistoryLabel => Some(InputRange::ids(source, 1)),
            InputSource::HistoryAgeBucket | InputSource::RequestRecencyBucket => {
                let last = match manifest.time {
                    TimeKind::Ms => LAST_TIME_BUCKET,
                    TimeKind::Order => 0,
                };
                Some(InputRange::ids(source, last.into()))
            }
            InputSource::HistoryLength => {
                let most = manifest.history.clicks + manifest.history.impressions;
                Some(InputRange::ids(source, u32::try_from(most).ok()?))
            }
            InputSource::TextTokenIds => Some(InputRange::ids(source, self.text?.largest_id())),
            _ => None,
        }
    }

    /// Runs a graph with every id that it is given at its largest.
    ///
    /// # Errors
    /// When one cannot be looked up. Other failures are left to who runs the graph on real rows.
    pub fn check(
        &self,
        graph: GraphName,
        mut run: impl FnMut(&[(&str, &Tensor)]) -> Result<(), String>,
    ) -> Result<(), LookupError> {
        let Some(spec) = self.bundle.graph(graph) else { return Ok(()) };
        let ranges: Vec<Option<InputRange>> =
            spec.inputs.iter().map(|input| self.range(&input.source)).collect();
        let last = |at: usize| ranges.get(at)?.as_ref()?.last_id();
        let mut attempt = |at_its_largest: &dyn Fn(usize) -> bool| {
            let id = |at: usize| last(at).filter(|_| at_its_largest(at)).unwrap_or(0);
            let tensors = filled(spec, id);
            let names = spec.inputs.iter().map(|input| input.name.as_str());
            run(&names.zip(&tensors).collect::<Vec<_>>())
        };
        let Err(together) = attempt(&|_| true) else { return Ok(()) };
        if attempt(&|_| false).is_err() {
            return Ok(());
        }
        let mut with_ids = (0..ranges.len()).filter(|at| last(*at).is_some()).peekable();
        let first = with_ids.peek().copied();
        let alone = with_ids.find_map(|at| Some((at, attempt(&|other| other == at).err()?)));
        let found = alone.or_else(|| Some((first?, together)));
        let Some((at, message)) = found else { return Ok(()) };
        let (last, range) = (last(at).unwrap_or_default(), ranges.into_iter().nth(at).flatten());
        let input = range.map(|range| range.name).unwrap_or_default();
        Err(LookupError { graph, input, id: last, last, message })
    }
}

/// One row of each dimension that varies: ids as `id` says, all else 0.
fn filled(spec: &GraphSpec, id: impl Fn(usize) -> i64) -> Vec<Tensor> {
    let tensor = |(at, input): (usize, &InputSpec)| {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Named(_) => 1,
        };
        let shape: Vec<usize> = input.shape.iter().map(length).collect();
        let elements = shape.iter().product();
        let data = match input.dtype {
            TensorDtype::I64 => TensorData::I64(vec![id(at); elements]),
            dtype => TensorData::zeros(dtype, elements),
        };
        Tensor { shape, data }
    };
    spec.inputs.iter().enumerate().map(tensor).collect()
}

/// Loads each of the graphs, one after the other, and has it look up the largest ids.
///
/// # Errors
/// When one cannot be loaded, or cannot look them up.
pub fn check_lookups(
    bundle: &Bundle,
    features: &FeatureEncoder,
    library: &Library,
    graphs: &[GraphName],
) -> Result<(), LookupsError> {
    let text = match graphs.contains(&GraphName::TextEncoder) {
        true => TextPreprocessor::load(bundle)?,
        false => None,
    };
    let ranges = InputRanges::new(bundle, features, text.as_ref());
    for graph in graphs {
        let Some(path) = bundle.graph_path(*graph) else { continue };
        let mut session = Session::load(library, &path, SessionOptions::default())?;
        ranges.check(*graph, |inputs| session.probe(inputs))?;
    }
    Ok(())
}
