//! Graphs run on tensors that the caller gives, in the batches of ordinary scoring.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use half::f16;
use plugrank_contract::{
    CallError, Context, NamedTensor, TensorDtype,
    scoring::{Infer, Inferred, ModelKind},
};
use plugrank_inference::{
    TensorData,
    batcher::{Dims, Entry, GraphInput, Layout, TensorRows, Variable},
};
use plugrank_transport::Service;

use crate::{ScoringService, scorer::Scorer, tasks::TaskHead};

/// Batches that one call may fill.
const MOST_BATCHES: usize = 8;

/// What may come in one call.
#[derive(Clone, Copy)]
struct Limits {
    /// Candidates of all users.
    rows: usize,
    /// Candidates of one entry of a batch.
    entry: usize,
    /// History entries of a user.
    history: usize,
}

/// Inputs that fit a graph, in its order.
struct Fitting<'a> {
    users: usize,
    dims: Dims,
    inputs: Vec<(&'a Layout, NamedTensor)>,
}

#[async_trait]
impl Service<Infer> for ScoringService {
    async fn call(&self, context: Context, call: Infer) -> Result<Inferred, CallError> {
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before the graph was run"));
        }
        let scorer = match call.model {
            ModelKind::Unified => &self.unified,
            ModelKind::Idrec => self.idrec.as_ref().ok_or_else(|| {
                CallError::invalid(format!("bundle {} has no idrec graph", self.version))
            })?,
        };
        let inferred = infer(scorer, call.inputs, MOST_BATCHES * self.options.batch_rows, &context);
        let late = || Err(CallError::deadline("the graph did not run in time"));
        context.deadline.limit(inferred).await.unwrap_or_else(late)
    }
}

async fn infer(
    scorer: &Scorer,
    inputs: Vec<NamedTensor>,
    rows: usize,
    context: &Context,
) -> Result<Inferred, CallError> {
    let largest = scorer.largest();
    let limits = Limits { rows, entry: largest.candidates, history: largest.history };
    let layouts: Vec<(&Layout, Option<i64>)> = scorer.schema.layouts().collect();
    let fitting = Fitting::new(&layouts, inputs, limits)?;
    let shape = vec![fitting.users, fitting.dims.candidates];
    let rows = fitting.users * fitting.dims.candidates;
    scorer.in_time(rows, context.deadline)?;
    let entries = fitting.entries(limits.entry)?;
    let (logits, _) = scorer.logits(entries, context.deadline).await?;
    let output = |(head, logits): (&TaskHead, Vec<f32>)| {
        if logits.len() != rows {
            let got = logits.len();
            let message = format!("{got} logits for [users, candidates] {shape:?}");
            return Err(CallError::internal(message));
        }
        let logits = TensorData::F32(logits);
        let (dtype, data) = (logits.dtype(), logits.to_le_bytes());
        Ok(NamedTensor { name: head.output.clone(), dtype, shape: shape.clone(), data })
    };
    let outputs = scorer.tasks().iter().zip(logits).map(output).collect::<Result<_, _>>()?;
    Ok(Inferred { outputs })
}

impl<'a> Fitting<'a> {
    /// Holds the inputs against the graph's. Every error names the input.
    fn new(
        layouts: &[(&'a Layout, Option<i64>)],
        mut given: Vec<NamedTensor>,
        limits: Limits,
    ) -> Result<Self, CallError> {
        let names =
            || layouts.iter().map(|(one, _)| one.name.as_str()).collect::<Vec<_>>().join(", ");
        let (mut users, mut candidates, mut history) = (Agreed(None), Agreed(None), Agreed(None));
        let mut inputs = Vec::with_capacity(layouts.len());
        for (layout, _) in layouts {
            let name = &layout.name;
            let place = given.iter().position(|tensor| tensor.name == *name).ok_or_else(|| {
                CallError::invalid(format!(
                    "input `{name}` is missing; the graph reads {}",
                    names()
                ))
            })?;
            let tensor = given.swap_remove(place);
            let rank = 1 + usize::from(layout.variable.is_some()) + layout.fixed.len();
            let fits = tensor.shape.len() == rank && tensor.shape.ends_with(&layout.fixed);
            if !fits || tensor.dtype != layout.dtype {
                return Err(CallError::invalid(format!(
                    "input `{name}` is {} {:?}, and the graph reads {} {}",
                    tensor.dtype,
                    tensor.shape,
                    layout.dtype,
                    wanted(layout)
                )));
            }
            users.or(name, "users", tensor.shape[0])?;
            match layout.variable {
                Some(Variable::Candidates) => candidates.or(name, "candidates", tensor.shape[1])?,
                Some(Variable::History) => history.or(name, "history entries", tensor.shape[1])?,
                None => {}
            }
            inputs.push((*layout, tensor));
        }
        if let Some(more) = given.first() {
            return Err(CallError::invalid(format!(
                "input `{}` is there twice, or is none of the graph's, which reads {}",
                more.name,
                names()
            )));
        }
        let dims = Dims { candidates: candidates.length(), history: history.length() };
        let this = Self { users: users.length(), dims, inputs };
        this.check(limits)?;
        let largest_ids = layouts.iter().map(|(_, largest)| *largest);
        for ((_, tensor), largest) in this.inputs.iter().zip(largest_ids) {
            check_values(tensor, largest)?;
        }
        Ok(this)
    }

    fn check(&self, limits: Limits) -> Result<(), CallError> {
        let Dims { candidates, history } = self.dims;
        if self.users.saturating_mul(candidates) > limits.rows {
            return Err(CallError::invalid(format!(
                "{} users x {candidates} candidates; at most {} rows can be in one call",
                self.users, limits.rows
            )));
        }
        if history > limits.history {
            return Err(CallError::invalid(format!(
                "{history} history entries; the model reads at most {}",
                limits.history
            )));
        }
        for (layout, tensor) in &self.inputs {
            let elements = self.users.checked_mul(layout.elements(self.dims));
            let bytes = elements.and_then(|elements| elements.checked_mul(layout.dtype.size()));
            if bytes != Some(tensor.data.len()) {
                return Err(CallError::invalid(format!(
                    "input `{}` has {} bytes of data, which is not {:?} of {}",
                    layout.name,
                    tensor.data.len(),
                    tensor.shape,
                    layout.dtype
                )));
            }
        }
        Ok(())
    }

    /// One entry a user, or several along its candidates where there are more than `largest`.
    fn entries(&self, largest: usize) -> Result<Vec<Entry<Box<dyn GraphInput>>>, CallError> {
        let Dims { candidates, history } = self.dims;
        let mut entries = Vec::with_capacity(self.users * candidates.div_ceil(largest));
        for user in 0..self.users {
            // What does not vary with the candidates is shared by the entries of a user.
            let shared = self.inputs.iter().map(|(layout, tensor)| match layout.variable {
                Some(Variable::Candidates) => Ok(None),
                _ => block(layout, tensor, user, self.dims, None).map(Some),
            });
            let shared = shared.collect::<Result<Vec<_>, CallError>>()?;
            for start in (0..candidates).step_by(largest) {
                let range = start..(start + largest).min(candidates);
                let dims = Dims { candidates: range.len(), history };
                let inputs = self.inputs.iter().zip(&shared);
                let inputs = inputs.map(|((layout, tensor), shared)| match shared {
                    Some(shared) => Ok(Arc::clone(shared)),
                    None => block(layout, tensor, user, self.dims, Some(&range)),
                });
                let inputs = inputs.collect::<Result<_, CallError>>()?;
                entries.push(Entry { dims, input: TensorRows::boxed(inputs) });
            }
        }
        Ok(entries)
    }
}

/// Refuses what the graph cannot compute with. It would fail the whole batch, in which other callers'
/// rows are too.
fn check_values(tensor: &NamedTensor, largest_id: Option<i64>) -> Result<(), CallError> {
    let wrong = |at: usize, value: &dyn fmt::Display, why: fmt::Arguments<'_>| {
        CallError::invalid(format!("input `{}` is {value} at element {at}; {why}", tensor.name))
    };
    let finite = |(at, value): (usize, f32)| match value.is_finite() {
        true => Ok(()),
        false => Err(wrong(at, &value, format_args!("it must be a finite number"))),
    };
    let data = &*tensor.data;
    match (tensor.dtype, largest_id) {
        (TensorDtype::F32, _) => data
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .enumerate()
            .try_for_each(finite),
        (TensorDtype::F16, _) => {
            let values = data.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32());
            values.enumerate().try_for_each(finite)
        }
        (TensorDtype::I64, None) => Ok(()),
        (TensorDtype::I64, Some(largest)) => {
            let ids = data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).enumerate();
            let mut outside = ids.filter(|(_, id)| !(0..=largest).contains(id));
            outside.next().map_or(Ok(()), |(at, id)| {
                Err(wrong(at, &id, format_args!("it must be 0 to {largest}")))
            })
        }
    }
}

/// The elements of one user, or of some of their candidates.
fn block(
    layout: &Layout,
    tensor: &NamedTensor,
    user: usize,
    dims: Dims,
    candidates: Option<&Range<usize>>,
) -> Result<Arc<TensorData>, CallError> {
    let size = layout.dtype.size();
    let width = layout.elements(dims) * size;
    let step = layout.step() * size;
    let within = candidates.map_or(0..width, |range| range.start * step..range.end * step);
    let bytes = tensor.data.get(user * width + within.start..user * width + within.end);
    let data = bytes.and_then(|bytes| TensorData::from_le_bytes(layout.dtype, bytes));
    let short = || CallError::invalid(format!("input `{}` is too short", layout.name));
    data.map(Arc::new).ok_or_else(short)
}

/// A length that every input must agree on.
struct Agreed(Option<usize>);

impl Agreed {
    fn or(&mut self, name: &str, what: &str, length: usize) -> Result<(), CallError> {
        let agreed = *self.0.get_or_insert(length);
        if length == 0 {
            return Err(CallError::invalid(format!("input `{name}` has no {what}; 1 at least")));
        }
        if length != agreed {
            return Err(CallError::invalid(format!(
                "input `{name}` has {length} {what}, and the inputs before it {agreed}"
            )));
        }
        Ok(())
    }

    /// A dimension that the graph does not have counts as 1.
    fn length(&self) -> usize {
        self.0.unwrap_or(1)
    }
}

/// `[users, candidates, 32]`.
fn wanted(layout: &Layout) -> String {
    let mut dims = vec!["users".to_owned()];
    dims.extend(layout.variable.map(|variable| match variable {
        Variable::Candidates => "candidates".to_owned(),
        Variable::History => "history".to_owned(),
    }));
    dims.extend(layout.fixed.iter().map(ToString::to_string));
    format!("[{}]", dims.join(", "))
}
