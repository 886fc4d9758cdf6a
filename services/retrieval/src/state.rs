//! What the parts of retrieval share.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use plugrank_contract::{
    CallError, Context, ItemId, ItemIndex,
    embedding::{FetchVectors, FetchedVectors, RecordOrigin},
    matrix::decode_f32,
};
use plugrank_items::{FeatureColumn, ItemTable};
use plugrank_store::Store;
use plugrank_transport::Client;
use tokio::sync::Mutex;

use crate::{
    RetrievalError,
    engine_asked::EngineAsked,
    index::{VectorIndex, pairs::Pairs},
    indexed::IndexedContents,
    options::RetrievalOptions,
    popularity::Popularity,
    snapshot::Snapshots,
};

/// Feature columns that are attached to the table, by version of their bundle.
pub type FeatureColumns = Vec<(String, Arc<FeatureColumn>)>;

/// Vectors of items and the bundle that made them.
pub(crate) struct Indexed {
    /// Version of the bundle. Vectors of different bundles are never compared.
    pub(crate) bundle: String,
    /// The vectors.
    pub(crate) vectors: Arc<dyn VectorIndex>,
}

/// What the parts of retrieval share.
pub(crate) struct RetrievalState {
    /// Settings.
    pub(crate) options: RetrievalOptions,
    /// Items, behaviour.
    pub(crate) store: Arc<dyn Store>,
    /// The catalog.
    pub(crate) items: Arc<ItemTable>,
    /// Columns of the table that a snapshot keeps, by version of their bundle.
    pub(crate) features: FeatureColumns,
    /// Item vectors.
    pub(crate) vectors: Client<FetchVectors>,
    /// Popularity lists.
    pub(crate) popularity: Popularity,
    /// The engine that has the index, where it is not in this process.
    pub(crate) engine: Option<EngineAsked>,
    /// Index of vectors; none before the first vector.
    pub(crate) index: ArcSwapOption<Indexed>,
    /// Which content its vectors are of.
    pub(crate) indexed: IndexedContents,
    /// Items clicked together, by the log of events.
    pub(crate) pairs: Pairs,
    /// Snapshots that were made.
    pub(crate) snapshots: Snapshots,
    /// Held while items are read again, so that the table and the index agree.
    pub(crate) maintenance: Arc<Mutex<()>>,
}

/// Vectors of items, and the bundle that made them.
pub struct ItemVectors {
    /// Version of the bundle.
    pub bundle: String,
    /// Elements of a vector.
    pub dim: usize,
    /// Vectors by item; items whose vector is missing are not among them.
    pub vectors: Vec<(ItemIndex, Vec<f32>)>,
}

/// Fetches the vectors of items and checks that the answer fits the question. `changed`: the items
/// have just changed, and the embedding role may not know that yet.
pub(crate) async fn fetch_vectors(
    client: &Client<FetchVectors>,
    context: Context,
    items: &[(ItemIndex, ItemId)],
    changed: bool,
) -> Result<ItemVectors, RetrievalError> {
    let item_ids = items.iter().map(|(_, id)| id.clone()).collect();
    let call = FetchVectors { item_ids, changed };
    let fetched = client.call(context, call).await.map_err(RetrievalError::Vectors)?;
    check(&fetched, items.len()).map_err(RetrievalError::Vectors)?;
    let FetchedVectors { bundle, vectors: rows, origins } = fetched;
    let vectors = items
        .iter()
        .zip(&origins)
        .enumerate()
        .filter(|(_, (_, origin))| **origin != RecordOrigin::Missing)
        .map(|(row, ((index, _), _))| (*index, decode_f32(rows.dtype(), rows.row(row))))
        .collect();
    Ok(ItemVectors { bundle, dim: rows.dim(), vectors })
}

fn check(fetched: &FetchedVectors, asked: usize) -> Result<(), CallError> {
    fetched
        .vectors
        .validate()
        .map_err(|error| CallError::internal(format!("`vectors` is damaged: {error}")))?;
    let (rows, origins) = (fetched.vectors.rows(), fetched.origins.len());
    if rows == asked && origins == asked {
        return Ok(());
    }
    Err(CallError::internal(format!(
        "asked for {asked} vectors, got {rows} `vectors` and {origins} `origins`"
    )))
}
