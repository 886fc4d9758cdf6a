//! The file that all peers read: item records and user states in contiguous rows.
//!
//! One safetensors file. `records` is f32 `[items, dim]`; `state.N` is output N of the user encoder,
//! f32 `[entries of all users, d]` or `[users, d]`; `user.offsets` i64 `[users + 1]` says where a
//! user's entries begin; `user.recency` i64 `[users]` is the recency bucket of a request made when
//! the file was. Everything else is JSON in the file's metadata, under `tables`.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use hashbrown::HashMap;
use plugrank_inference::{Tensor, TensorData};
use safetensors::{SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

/// Key of the description in the file's metadata.
pub(crate) const METADATA: &str = "tables";

/// What the tensors mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    /// Path of the unified graph.
    pub(crate) graph: String,
    /// Slope and intercept of the calibrated click probability, `sigmoid(a * logit + b)`.
    pub(crate) platt: [f64; 2],
    /// Ids, in the order of the records.
    pub(crate) items: Vec<String>,
    /// Ids, in the order of the states.
    pub(crate) users: Vec<String>,
    /// The part of a record by which items are compared: first element, elements.
    pub(crate) vector: [usize; 2],
    /// Inputs of the graph.
    pub(crate) inputs: Vec<GraphInput>,
}

/// An input of the unified graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GraphInput {
    /// Name in the graph.
    pub(crate) name: String,
    /// What fills it.
    #[serde(flatten)]
    pub(crate) reads: Reads,
}

/// What fills an input.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reads", rename_all = "snake_case")]
pub(crate) enum Reads {
    /// A part of the candidates' records. f32 `[1, candidates, dim]`.
    Record {
        /// First element.
        offset: usize,
        /// Elements.
        dim: usize,
    },
    /// An output of the user encoder. f32 `[1, d]` or `[1, history, d]`.
    State {
        /// The tensor.
        tensor: String,
        /// Whether it has one row a history entry.
        per_entry: bool,
    },
    /// Ones. f32 `[1, history]`.
    Mask,
    /// The recency bucket. i64 `[1]`.
    Recency,
}

/// The file, ready to score from.
pub(crate) struct Tables {
    pub(crate) about: Description,
    /// Row of each item.
    pub(crate) items: HashMap<String, u32>,
    /// Row of each user.
    pub(crate) users: HashMap<String, u32>,
    /// Records, row by row.
    pub(crate) records: Vec<f32>,
    /// Elements of a record.
    pub(crate) dim: usize,
    /// By user, the graph's inputs that do not depend on the candidates, in the order of `inputs`.
    pub(crate) states: Vec<Vec<Option<Tensor>>>,
}

impl Tables {
    /// What the file that `prepare` wrote holds.
    pub(crate) fn describe(path: &Path) -> Result<Description> {
        description(&read(path)?).with_context(|| format!("{} holds no tables", path.display()))
    }

    /// Reads the file that `prepare` wrote.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let about =
            description(&bytes).with_context(|| format!("{} holds no tables", path.display()))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let records = floats(&file.tensor("records")?);
        let dim = records.len() / about.items.len().max(1);
        let states = states(&file, &about)?;
        let rows = |ids: &[String]| ids.iter().cloned().zip(0..).collect();
        Ok(Self {
            items: rows(&about.items),
            users: rows(&about.users),
            records,
            dim,
            states,
            about,
        })
    }

    /// An item's record.
    pub(crate) fn record(&self, item: u32) -> &[f32] {
        let start = item as usize * self.dim;
        &self.records[start..start + self.dim]
    }

    /// Vectors by which items are compared, normalised, and their length.
    pub(crate) fn unit_vectors(&self) -> (Vec<f32>, usize) {
        let [offset, dim] = self.about.vector;
        let mut vectors = Vec::with_capacity(self.about.items.len() * dim);
        for record in self.records.chunks_exact(self.dim) {
            let vector = &record[offset..offset + dim];
            let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            vectors.extend(vector.iter().map(|x| x / norm));
        }
        (vectors, dim)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| {
        format!("cannot read {}; `plugrank-bench prepare` writes it", path.display())
    })
}

fn description(bytes: &[u8]) -> Result<Description> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let text = metadata.metadata().as_ref().and_then(|about| about.get(METADATA));
    Ok(serde_json::from_str(text.context("its metadata does not describe them")?)?)
}

fn states(file: &SafeTensors<'_>, about: &Description) -> Result<Vec<Vec<Option<Tensor>>>> {
    let offsets = integers(&file.tensor("user.offsets")?);
    let recency = integers(&file.tensor("user.recency")?);
    ensure!(
        offsets.len() == about.users.len() + 1 && recency.len() == about.users.len(),
        "the users' rows do not fit their ids; run `plugrank-bench prepare` again"
    );
    let mut states: Vec<Vec<Option<Tensor>>> = vec![Vec::new(); about.users.len()];
    for input in &about.inputs {
        let table = match &input.reads {
            Reads::State { tensor, .. } => {
                let view = file.tensor(tensor)?;
                (floats(&view), view.shape().last().copied().unwrap_or(1))
            }
            _ => (Vec::new(), 0),
        };
        for (user, state) in states.iter_mut().enumerate() {
            let entries = offsets[user] as usize..offsets[user + 1] as usize;
            state.push(user_tensor(&input.reads, user, &entries, recency[user], &table));
        }
    }
    Ok(states)
}

fn user_tensor(
    reads: &Reads,
    user: usize,
    entries: &std::ops::Range<usize>,
    recency: i64,
    (table, dim): &(Vec<f32>, usize),
) -> Option<Tensor> {
    match reads {
        Reads::Record { .. } => None,
        Reads::State { per_entry, .. } => {
            let rows = if *per_entry { entries.clone() } else { user..user + 1 };
            let data = table[rows.start * dim..rows.end * dim].to_vec();
            let shape = if *per_entry { vec![1, rows.len(), *dim] } else { vec![1, *dim] };
            Some(Tensor { shape, data: TensorData::F32(data) })
        }
        Reads::Mask => {
            let ones = TensorData::F32(vec![1.0; entries.len()]);
            Some(Tensor { shape: vec![1, entries.len()], data: ones })
        }
        Reads::Recency => Some(Tensor { shape: vec![1], data: TensorData::I64(vec![recency]) }),
    }
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn integers(view: &TensorView<'_>) -> Vec<i64> {
    view.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
}
