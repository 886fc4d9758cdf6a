//! Encodes a data set once, so that every peer scores from the same rows.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use plugrank_bundle::{Bundle, Calibration, GraphName, InputSource, ItemRecordLayout};
use plugrank_contract::UserId;
use plugrank_dataset::{DatasetFolder, DatasetItem};
use plugrank_inference::Library;
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    encode::{self, ItemEncoders},
    history,
    tables::{Description, GraphInput, METADATA, Reads},
    user_inputs::UserSchema,
};

/// Items in one run of the item encoder.
const BATCH: usize = 256;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the bundle.
    #[arg(long)]
    bundle: PathBuf,
    /// Folder of the data set.
    #[arg(long)]
    dataset: PathBuf,
    /// The ONNX Runtime library.
    #[arg(long)]
    library: PathBuf,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

/// A tensor to be written.
struct Block {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let begun = Instant::now();
    let library = Library::load(Some(&args.library))?;
    let bundle = Bundle::open(&args.bundle)?;
    let features = bundle.feature_encoder()?;
    let folder = DatasetFolder::open(&args.dataset)?;
    let mut rows: Vec<DatasetItem> = Vec::new();
    for batch in folder.items()? {
        rows.extend(batch?);
    }
    let mut encoders = ItemEncoders::load(&library, &bundle, &features)?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let encoded = encoders.content(&folder, row);
        items.push(encoded.with_context(|| format!("item {}", row.item.item_id.as_str()))?);
    }
    let mut records = Vec::new();
    for batch in items.chunks(BATCH) {
        records.extend(encoders.records(batch)?);
    }
    let ids: Vec<String> = rows.iter().map(|row| row.item.item_id.as_str().to_owned()).collect();
    let places: HashMap<String, usize> = ids.iter().cloned().zip(0..).collect();
    let users = history::read(&folder, &places, bundle.manifest().history)?;

    let graph = GraphName::UserEncoder;
    let spec = bundle.graph(graph).context("the bundle has no user encoder")?;
    let layout = bundle.record();
    let time = bundle.manifest().time;
    let schema =
        UserSchema { spec, layout, features: &features, time, records: &records, items: &items };
    let mut session = encode::session(&library, &bundle, graph)?;
    let mut states: Vec<Vec<f32>> = vec![Vec::new(); spec.outputs.len()];
    let (mut offsets, mut recency) = (vec![0], Vec::new());
    for user in &users {
        let ids = features.user(&UserId::from(user.id.as_str()), user.profile.as_ref());
        let inputs = schema.tensors(&user.entries, &ids)?;
        let mut outputs: Vec<_> =
            encode::run(&mut session, &inputs)?.into_iter().map(Some).collect();
        for (output, state) in spec.outputs.iter().zip(&mut states) {
            let place = session.outputs().iter().position(|port| port.name == output.name);
            let tensor = place.and_then(|place| outputs.get_mut(place)).and_then(Option::take);
            state.extend(encode::floats(tensor)?);
        }
        let entries = i64::try_from(user.entries.len().max(1))?;
        offsets.push(offsets.last().copied().unwrap_or(0) + entries);
        recency.push(schema.recency(&user.entries, now_ms()?));
    }

    let vector = layout.vector().context("the bundle has no item vector")?;
    let about = Description {
        graph: absolute(&bundle.graph_path(GraphName::Unified).unwrap_or_default())?,
        platt: platt(bundle.calibration(GraphName::Unified, bundle.manifest().main_task()))?,
        vector: [vector.offset, vector.dim],
        inputs: graph_inputs(&bundle, layout)?,
        users: users.iter().map(|user| user.id.clone()).collect(),
        items: ids,
    };
    let mut blocks = vec![
        floats("records".to_owned(), layout.dim, &records),
        integers("user.offsets", &offsets),
        integers("user.recency", &recency),
    ];
    for (place, (output, state)) in spec.outputs.iter().zip(&states).enumerate() {
        blocks.push(floats(state_name(place), output.width().unwrap_or(1), state));
    }
    write(&args.out, &about, &blocks)?;
    println!(
        "{} items and {} users encoded in {:.1} s",
        about.items.len(),
        about.users.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn graph_inputs(bundle: &Bundle, layout: &ItemRecordLayout) -> Result<Vec<GraphInput>> {
    let spec = bundle.graph(GraphName::Unified).context("the bundle has no unified graph")?;
    let states = bundle.graph(GraphName::UserEncoder).map_or(&[][..], |spec| &spec.outputs);
    let reads = |source: &InputSource| {
        Ok(match source {
            InputSource::CandidateItem(name) => {
                let part = layout.part(name).with_context(|| format!("no part `{name}`"))?;
                Reads::Record { offset: part.offset, dim: part.dim }
            }
            InputSource::UserState(name) => {
                let place = states.iter().position(|output| output.name == *name);
                let place = place.with_context(|| format!("user_encoder has no `{name}`"))?;
                let per_entry = states[place].per_history_entry();
                Reads::State { tensor: state_name(place), per_entry }
            }
            InputSource::HistoryMask => Reads::Mask,
            InputSource::RequestRecencyBucket => Reads::Recency,
            other => bail!(
                "the benchmark's peers cannot fill `{other}` of unified; use a bundle whose unified \
                 graph reads item records, user states, the mask and the recency bucket only"
            ),
        })
    };
    let inputs = spec.inputs.iter();
    inputs
        .map(|input| Ok(GraphInput { name: input.name.clone(), reads: reads(&input.source)? }))
        .collect()
}

fn state_name(place: usize) -> String {
    format!("state.{place}")
}

fn platt(calibration: Calibration) -> Result<[f64; 2]> {
    match calibration {
        Calibration::None => Ok([1.0, 0.0]),
        Calibration::Platt { a, b } => Ok([a, b]),
        Calibration::Isotonic { .. } => {
            bail!("the benchmark's peers know Platt calibration only; use another bundle")
        }
    }
}

fn absolute(path: &Path) -> Result<String> {
    let path = path.canonicalize().with_context(|| format!("{}", path.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn floats(name: String, dim: usize, values: &[f32]) -> Block {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Block { name, shape: vec![values.len() / dim.max(1), dim], dtype: Dtype::F32, bytes }
}

fn integers(name: &str, values: &[i64]) -> Block {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Block { name: name.to_owned(), shape: vec![values.len()], dtype: Dtype::I64, bytes }
}

fn write(path: &Path, about: &Description, blocks: &[Block]) -> Result<()> {
    let views = blocks.iter().map(|block| {
        Ok((&block.name, TensorView::new(block.dtype, block.shape.clone(), &block.bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(METADATA.to_owned(), serde_json::to_string(about)?)]);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, safetensors::serialize(views, Some(metadata))?)
        .with_context(|| format!("cannot write {}", path.display()))
}
