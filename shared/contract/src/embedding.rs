//! Calls of the embedding service.

use serde::{Deserialize, Serialize};

use crate::{Call, ItemId, ItemList, Matrix, TimestampMs, UserId, UserRead};

/// Where an item's record came from.
///
/// ```
/// use plugrank_contract::embedding::RecordOrigin;
///
/// let origins = [RecordOrigin::Memory, RecordOrigin::Missing];
/// assert_eq!(serde_json::to_string(&origins).unwrap(), r#"["memory","missing"]"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOrigin {
    /// In-process tier.
    Memory,
    /// The store.
    Store,
    /// Encoded for this call.
    Encoded,
    /// Not reached in time or not in the catalog: the bundle's missing-vector stands in for its
    /// content.
    Missing,
}

/// How far a fetch goes for records.
///
/// ```
/// use plugrank_contract::embedding::Tiers;
///
/// assert_eq!(Tiers::default(), Tiers::All);
/// assert_eq!(serde_json::from_str::<Tiers>("\"cached\"").unwrap(), Tiers::Cached);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tiers {
    /// In-process tier, store, encoders.
    #[default]
    All,
    /// The in-process tier, as it was last known; nothing waits for the store's vectors or for an
    /// encoder.
    Cached,
}

/// Fetches what the unified graph reads: item records and, for `user`, the user's state.
///
/// ```
/// use plugrank_contract::{
///     Dtype, ItemList, Matrix, UserRead,
///     embedding::{Fetch, FetchUser, Fetched, RecordOrigin, Tiers, UserState},
/// };
///
/// let call = Fetch {
///     items: ItemList::named(vec!["lamp".into(), "sofa".into()]),
///     user: Some(FetchUser { user_id: "ann".into(), as_of: 1_000, user: UserRead::NotRead }),
///     tiers: Tiers::All,
/// };
/// let row = |number: f32| number.to_le_bytes();
/// let reply = Fetched {
///     bundle: "shop-7".to_owned(),
///     items: Matrix::new(2, 1, Dtype::F32, [row(0.5), row(0.0)].concat()).unwrap(),
///     origins: vec![RecordOrigin::Store, RecordOrigin::Missing],
///     user: Some(UserState {
///         outputs: vec![Matrix::empty(1, Dtype::F32)],
///         recency_bucket: 0,
///         history_len: 0,
///         cached: false,
///     }),
///     late: None,
/// };
/// assert_eq!(reply.items.rows(), call.items.len());
/// assert_eq!(reply.items.row_f32(0), [0.5]);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// Items, in the order the rows come back.
    pub items: ItemList,
    /// Whose state to add.
    pub user: Option<FetchUser>,
    /// How far to go for records.
    pub tiers: Tiers,
}

/// Whose state to add to a [`Fetch`], and as of when.
///
/// [`Fetch`] has an example.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchUser {
    /// Who.
    pub user_id: UserId,
    /// Only behaviour strictly before this moment is read.
    pub as_of: TimestampMs,
    /// The user, when the caller has read them.
    pub user: UserRead,
}

/// One user's part: the outputs of the bundle's `user_encoder`, in its order.
///
/// [`Fetch`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    /// Outputs; each has one row, or as many rows as the history has entries (at least 1).
    pub outputs: Vec<Matrix>,
    /// Bucket of the time since the newest history entry; 0 without one.
    pub recency_bucket: u8,
    /// History entries that were read.
    pub history_len: u32,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// Reply to [`Fetch`].
///
/// [`Fetch`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetched {
    /// Version of the bundle that made the records.
    pub bundle: String,
    /// One row an item asked for: the outputs of the bundle's `item_encoder`, concatenated in its
    /// order.
    pub items: Matrix,
    /// Where each row came from; same order.
    pub origins: Vec<RecordOrigin>,
    /// The user's state, when asked for.
    pub user: Option<UserState>,
    /// What could not be read in time, so that something else stands in for it; `None` when all was
    /// read.
    pub late: Option<String>,
}

impl Call for Fetch {
    type Reply = Fetched;
    const PATH: &'static str = "/rpc/v1/embedding/fetch";
    const IDEMPOTENT: bool = true;
}

/// Fetches the PPM item vectors alone (for the ANN index and for diversity).
///
/// ```
/// use plugrank_contract::{
///     Call, Dtype, Matrix,
///     embedding::{FetchVectors, FetchedVectors, RecordOrigin},
/// };
///
/// let call = FetchVectors { item_ids: vec!["lamp".into()], changed: true };
/// let vectors = Matrix::new(1, 2, Dtype::F16, vec![0; 4]).unwrap();
/// let reply =
///     FetchedVectors { bundle: "shop-7".to_owned(), vectors, origins: vec![RecordOrigin::Encoded] };
/// assert_eq!((reply.vectors.rows(), reply.origins.len()), (call.item_ids.len(), 1));
/// assert!(FetchVectors::IDEMPOTENT, "it may be retried or hedged");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchVectors {
    /// Items, in the order the rows come back.
    pub item_ids: Vec<ItemId>,
    /// Whether the caller knows of changes of these items that the embedding role may not have read
    /// yet; it reads them again first.
    pub changed: bool,
}

/// Reply to [`FetchVectors`].
///
/// [`FetchVectors`] has an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchedVectors {
    /// Version of the bundle that made the vectors.
    pub bundle: String,
    /// One row an item asked for.
    pub vectors: Matrix,
    /// Where each row came from; same order.
    pub origins: Vec<RecordOrigin>,
}

impl Call for FetchVectors {
    type Reply = FetchedVectors;
    const PATH: &'static str = "/rpc/v1/embedding/fetch-vectors";
    const IDEMPOTENT: bool = true;
}

/// Forgets what the in-process tier holds of items whose content changed.
///
/// ```
/// use plugrank_contract::{Call, embedding::Invalidate};
///
/// let call = Invalidate { item_ids: vec!["lamp".into()] };
/// assert_eq!(postcard::to_stdvec(&call).unwrap(), [1, 4, b'l', b'a', b'm', b'p']);
/// assert!(Invalidate::EVERY_REPLICA, "each process has a cache of its own");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invalidate {
    /// Which items.
    pub item_ids: Vec<ItemId>,
}

impl Call for Invalidate {
    type Reply = ();
    const PATH: &'static str = "/rpc/v1/embedding/invalidate";
    const IDEMPOTENT: bool = true;
    const EVERY_REPLICA: bool = true;
    const IN_PLACE: bool = false;
}
