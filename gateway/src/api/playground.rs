//! `/playground/shoppers`.

use serde::Serialize;
use utoipa::ToSchema;

/// Shoppers to try.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShopperList {
    /// Those whose tastes differ most from everybody's first.
    pub shoppers: Vec<Shopper>,
}

/// A user who clicked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Shopper {
    /// Identifier.
    pub user_id: String,
    /// Clicks that were read.
    pub clicks: u64,
    /// What this user clicks more often than others do: categories, features, words of titles. Empty
    /// where nothing stands out.
    pub taste: Vec<String>,
}
