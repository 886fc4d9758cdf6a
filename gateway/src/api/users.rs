//! `/v1/users/{id}`.

use plugrank_contract::{FeatureValues, History, TimestampMs, feature::present};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::features::{FeatureChanges, features_schema};

/// A user's profile as a whole: features that are left out are missing afterwards.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserContent {
    /// Features, by name. null is a feature that is missing.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
}

/// Changes of a user's profile: what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChanges {
    /// Features, by name; null takes one away.
    #[serde(default)]
    #[schema(schema_with = features_schema)]
    pub features: FeatureChanges,
}

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
    #[schema(value_type = i64)]
    pub timestamp: TimestampMs,
    /// What was done, where it is known: the type of an event, or the data set's `action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// How much, where it is known: a price, seconds, stars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

pub(crate) fn history_view(history: &History) -> Vec<HistoryView> {
    let view = |entry: &plugrank_contract::HistoryEntry| HistoryView {
        item_id: entry.item_id.to_string(),
        clicked: entry.clicked,
        timestamp: entry.timestamp,
        action: entry.action.as_deref().map(str::to_owned),
        value: entry.value.map(plugrank_contract::feature::Number::as_f64),
    };
    history.entries.iter().map(view).collect()
}
