//! `GET /v1/users/{id}`.

use plugrank_contract::{FeatureValues, History, TimestampMs};
use serde::Serialize;
use utoipa::ToSchema;

use super::features::features_schema;

/// What is known about a user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserView {
    /// Identifier.
    pub user_id: String,
    /// Features, by name; empty without a profile.
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
    /// What the user saw and did, newest first.
    pub history: Vec<HistoryView>,
}

/// One past impression with its label.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HistoryView {
    /// Item shown.
    pub item_id: String,
    /// Whether it was clicked.
    pub clicked: bool,
    /// When, milliseconds since 1970.
    pub timestamp: TimestampMs,
}

pub(crate) fn history_view(history: &History) -> Vec<HistoryView> {
    let view = |entry: &plugrank_contract::HistoryEntry| HistoryView {
        item_id: entry.item_id.to_string(),
        clicked: entry.clicked,
        timestamp: entry.timestamp,
    };
    history.entries.iter().map(view).collect()
}
