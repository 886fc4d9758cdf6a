//! File and column names of the folder.

/// The catalog.
pub const ITEMS: &str = "items.parquet";
/// The users.
pub const USERS: &str = "users.parquet";
/// What was shown, and whether it was clicked.
pub const INTERACTIONS: &str = "interactions.parquet";
/// True click probabilities; simulated data only.
pub const TRUTH: &str = "truth.parquet";
/// Served lists, an item a row; what serving knows and training does not read.
pub const EXPOSURES: &str = "exposures.parquet";
/// What the folder is.
pub const DATASET_JSON: &str = "dataset.json";

pub(crate) const ITEM_ID: &str = "item_id";
pub(crate) const USER_ID: &str = "user_id";
pub(crate) const TITLE: &str = "title";
pub(crate) const TEXT: &str = "text";
pub(crate) const CATEGORIES: &str = "categories";
pub(crate) const IMAGE: &str = "image";
pub(crate) const CREATED_AT: &str = "created_at";
pub(crate) const AVAILABLE: &str = "available";
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const LABEL: &str = "label";
pub(crate) const REQUEST_ID: &str = "request_id";
pub(crate) const POSITION: &str = "position";
pub(crate) const SURFACE: &str = "surface";
pub(crate) const PROPENSITY: &str = "propensity";
pub(crate) const ACTION: &str = "action";
pub(crate) const VALUE: &str = "value";
pub(crate) const PROBABILITY: &str = "probability";

/// Columns of `items.parquet` that are not features.
pub(crate) const ITEM_COLUMNS: [&str; 7] =
    [ITEM_ID, TITLE, TEXT, CATEGORIES, IMAGE, CREATED_AT, AVAILABLE];
/// Columns of `users.parquet` that are not features.
pub(crate) const USER_COLUMNS: [&str; 1] = [USER_ID];
/// What the name of a further task's label begins with.
pub(crate) const TASK_PREFIX: &str = "label_";
/// Columns of `interactions.parquet` that are not features, beside the labels of further tasks.
pub(crate) const INTERACTION_COLUMNS: [&str; 11] = [
    USER_ID, ITEM_ID, TIMESTAMP, LABEL, REQUEST_ID, POSITION, SURFACE, PROPENSITY, "action",
    "value", "arm",
];
