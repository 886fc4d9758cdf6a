//! What the unified graph reads, from this process or from the embedding role.

use std::sync::Arc;

use plugrank_bundle::{Bundle, GraphName, TensorDtype};
use plugrank_contract::{
    CallError, Context, Deadline, Dtype, ItemList, Matrix, TimestampMs, UserId, UserRead,
    embedding::{Fetch, FetchUser, Fetched, Tiers, UserState},
};
use plugrank_inference::batcher::sources::matrix_data;
use plugrank_items::ItemTable;
use plugrank_transport::Client;

use crate::{
    encoding::Encoding,
    record_set::RecordSet,
    state_cache::{EncodedState, StateOutput},
    unified_inputs::UnifiedInputs,
    user_states::UserEncoding,
};

/// Where records and states come from.
#[derive(Clone)]
pub enum Embeddings {
    /// This process.
    Here(Arc<Encoding>),
    /// The embedding role.
    Remote(RemoteEncoding),
}

/// The embedding role, and what its answers have to be.
#[derive(Clone)]
pub struct RemoteEncoding {
    client: Client<Fetch>,
    bundle: Arc<Bundle>,
    items: Arc<ItemTable>,
}

/// Asks for what the unified graph reads.
#[derive(Clone, Copy)]
pub struct UnifiedAsk<'a> {
    /// Candidates.
    pub items: &'a ItemList,
    /// For whom.
    pub user_id: &'a UserId,
    /// The user, when a stage before has read them.
    pub user: &'a UserRead,
    /// Only behaviour strictly before this moment is read.
    pub as_of: TimestampMs,
    /// How far to go for records.
    pub tiers: Tiers,
    /// The call this is part of.
    pub context: &'a Context,
    /// When the answer is needed.
    pub deadline: Deadline,
}

impl Embeddings {
    /// Records and state, checked against the bundle.
    ///
    /// # Errors
    /// When not even what stands in for them can be made; when the embedding role cannot be asked,
    /// runs another bundle or answers what does not fit it.
    pub async fn fetch(&self, ask: UnifiedAsk<'_>) -> Result<UnifiedInputs, CallError> {
        match self {
            Self::Here(encoding) => {
                let deadline = encoding.options().before(ask.deadline);
                let user = (ask.user_id, ask.user);
                encoding.unified_inputs(ask.items, user, ask.as_of, deadline, ask.tiers).await
            }
            Self::Remote(remote) => remote.fetch(ask).await,
        }
    }
}

impl RemoteEncoding {
    /// The embedding role behind `client`, which has to run the same bundle.
    #[must_use]
    pub fn new(client: Client<Fetch>, bundle: Arc<Bundle>, items: Arc<ItemTable>) -> Self {
        Self { client, bundle, items }
    }

    async fn fetch(&self, ask: UnifiedAsk<'_>) -> Result<UnifiedInputs, CallError> {
        let user = match ask.user {
            UserRead::Read(view) => UserRead::Read(view.clone()),
            other => other.clone(),
        };
        let user = FetchUser { user_id: ask.user_id.clone(), as_of: ask.as_of, user };
        let call = Fetch { items: ask.items.clone(), user: Some(user), tiers: ask.tiers };
        let context = Context { deadline: ask.deadline, ..ask.context.clone() };
        let fetched = self.client.call(context, call).await?;
        self.check(&fetched, ask.items.len())?;
        let user = fetched.user.ok_or_else(|| wrong("no user state"))?;
        let indices = ask.items.shared_indices_in(&self.items);
        Ok(UnifiedInputs {
            records: RecordSet::of_block(indices, fetched.items, fetched.origins),
            user: self.encoding(user)?,
            late: fetched.late,
        })
    }

    fn check(&self, fetched: &Fetched, asked: usize) -> Result<(), CallError> {
        if fetched.bundle != self.bundle.version() {
            return Err(CallError::unavailable(format!(
                "the embedding service runs bundle {}, scoring runs {}; roll both out",
                fetched.bundle,
                self.bundle.version()
            )));
        }
        let (records, layout) = (&fetched.items, self.bundle.record());
        let fits = records.validate().is_ok()
            && (records.rows(), records.dim(), records.dtype())
                == (asked, layout.dim, layout.dtype)
            && fetched.origins.len() == asked;
        if fits {
            return Ok(());
        }
        Err(wrong(&format!(
            "{} x {} records of {:?}, expected {asked} x {} of {:?}",
            records.rows(),
            records.dim(),
            records.dtype(),
            layout.dim,
            layout.dtype
        )))
    }

    fn encoding(&self, state: UserState) -> Result<UserEncoding, CallError> {
        let spec = self.bundle.graph(GraphName::UserEncoder).map_or(&[][..], |spec| &spec.outputs);
        let entries = state.history_len as usize;
        let mut outputs = Vec::with_capacity(spec.len());
        for (output, spec) in state.outputs.iter().zip(spec) {
            let rows = if spec.per_history_entry() { entries.max(1) } else { 1 };
            let dtype = match output.dtype() {
                Dtype::F16 => TensorDtype::F16,
                Dtype::F32 => TensorDtype::F32,
            };
            let fits = output.validate().is_ok() && (output.rows(), dtype) == (rows, spec.dtype);
            if !fits {
                return Err(wrong(&format!("a user state whose `{}` does not fit", spec.name)));
            }
            outputs.push(StateOutput { rows, data: matrix_data(output.dtype(), output.data()) });
        }
        if outputs.len() != spec.len() {
            return Err(wrong(&format!("{} outputs of a user state", outputs.len())));
        }
        let encoded = EncodedState { outputs, history_len: state.history_len };
        let UserState { recency_bucket, cached, .. } = state;
        Ok(UserEncoding { state: Arc::new(encoded), recency_bucket, cached, late: None })
    }
}

impl UserEncoding {
    /// The state as it is sent.
    ///
    /// # Errors
    /// When an output is not of f16 or f32 elements.
    pub fn to_wire(&self) -> Result<UserState, CallError> {
        let matrix = |output: &StateOutput| {
            let dtype = match output.data.dtype() {
                TensorDtype::F16 => Dtype::F16,
                TensorDtype::F32 => Dtype::F32,
                TensorDtype::I64 => return Err(wrong("a user state of i64")),
            };
            let dim = output.data.len() / output.rows.max(1);
            let matrix = Matrix::new(output.rows, dim, dtype, output.data.to_le_bytes());
            matrix.map_err(|error| wrong(&error.to_string()))
        };
        Ok(UserState {
            outputs: self.state.outputs.iter().map(matrix).collect::<Result<_, _>>()?,
            recency_bucket: self.recency_bucket,
            history_len: self.state.history_len,
            cached: self.cached,
        })
    }
}

fn wrong(what: &str) -> CallError {
    CallError::internal(format!("the embedding service answered {what}"))
}
