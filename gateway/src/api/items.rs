//! `/v1/items/{id}`.

use plugrank_contract::{FeatureValues, Item, TimestampMs, feature::present};
use plugrank_store::{ItemStats, StoredItem};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    },
};

use crate::problem::ProblemDocument;

use super::features::{FeatureChanges, features_schema};

/// An item's content, as a whole: what is left out is empty afterwards.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemContent {
    /// Short name, shown to people.
    #[schema(max_length = 4096, example = "Blue mug")]
    pub title: String,
    /// Description.
    #[serde(default)]
    pub text: String,
    /// Categories, the main one first.
    #[serde(default)]
    #[schema(schema_with = categories_schema)]
    pub categories: Vec<String>,
    /// When the item entered the catalog, milliseconds since 1970. Left out: unchanged, or now for
    /// a new item.
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub created_at: Option<TimestampMs>,
    /// Whether it may be shown.
    #[serde(default = "yes")]
    pub available: bool,
    /// Further features, by name. A value is a text, a number, a list of either, `true` or `false`; null
    /// is a feature that is missing.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
    /// Image file (JPEG or PNG), in base64.
    #[schema(content_encoding = "base64")]
    pub image: Option<String>,
}

fn categories_schema() -> RefOr<Schema> {
    let category = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let list = ArrayBuilder::new().items(category.max_length(Some(256))).max_items(Some(64));
    RefOr::T(Schema::Array(list.build()))
}

fn yes() -> bool {
    true
}

/// Changes of an item: what is left out stays, the image too; what is null is emptied.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemChanges {
    /// Short name, shown to people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 4096)]
    pub title: Option<Option<String>>,
    /// Description.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub text: Option<Option<String>>,
    /// Categories, the main one first.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = no_categories_schema)]
    pub categories: Option<Option<Vec<String>>>,
    /// When the item entered the catalog, milliseconds since 1970.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub created_at: Option<Option<TimestampMs>>,
    /// Whether it may be shown.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool)]
    pub available: Option<bool>,
    /// Further features, by name, such as price and stock; null takes one away.
    #[serde(default)]
    #[schema(schema_with = features_schema)]
    pub features: FeatureChanges,
}

/// What was written, be it null, apart from what was left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn no_categories_schema() -> RefOr<Schema> {
    let mut schema = categories_schema();
    if let RefOr::T(Schema::Array(list)) = &mut schema {
        list.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
    }
    schema
}

/// What happened to a line.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BulkResult {
    /// The line, from 1.
    pub line: u64,
    /// Which item; null where it cannot be read.
    pub item_id: Option<String>,
    /// `created`, `replaced`, or `refused`.
    pub status: &'static str,
    /// Why it was refused, or why rankings may not see it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemDocument>,
}

/// An item of the catalog.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ItemView {
    /// Identifier.
    pub item_id: String,
    /// Short name, shown to people.
    pub title: String,
    /// Description.
    pub text: String,
    /// Categories, the main one first.
    pub categories: Vec<String>,
    /// When the item entered the catalog, milliseconds since 1970.
    #[schema(value_type = Option<i64>)]
    pub created_at: Option<TimestampMs>,
    /// Whether it may be shown.
    pub available: bool,
    /// Further features, by name.
    #[schema(schema_with = features_schema)]
    pub features: FeatureValues,
    /// Whether it has an image, at `/v1/items/{id}/image`.
    pub has_image: bool,
    /// Version of the content, 64 hexadecimal digits.
    pub content: String,
    /// How it did.
    pub stats: ItemStatsView,
}

/// How an item did.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ItemStatsView {
    /// Times shown.
    pub impressions: u64,
    /// Times clicked.
    pub clicks: u64,
}

impl ItemView {
    /// The view of an item as stored.
    pub(crate) fn new(stored: &StoredItem, stats: ItemStats) -> Self {
        let Item { item_id, title, text, categories, created_at, available, image_hash, features } =
            stored.item.clone();
        Self {
            item_id: item_id.to_string(),
            title,
            text,
            categories,
            created_at,
            available,
            features,
            has_image: image_hash.is_some(),
            content: stored.content.iter().map(|byte| format!("{byte:02x}")).collect(),
            stats: ItemStatsView { impressions: stats.impressions, clicks: stats.clicks },
        }
    }
}
