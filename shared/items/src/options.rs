//! What the item table keeps for filters and rules: section `[items]` of the settings.

use garde::Validate;
use plugrank_settings::rules::holds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The item table.
///
/// ```
/// use plugrank_items::ItemsOptions;
///
/// assert!(ItemsOptions::default().keeps("brand"));
/// let prices = ItemsOptions { columns: Some(vec!["price".to_owned()]), ..Default::default() };
/// assert!(prices.keeps("price") && !prices.keeps("brand"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ItemsOptions {
    /// Features that filters and rules can name; each takes 4 bytes an item, and each of its distinct
    /// texts and lists once. Absent: every feature that items have, up to max_columns.
    #[garde(custom(distinct_names))]
    #[schemars(example = &["brand", "price"])]
    pub columns: Option<Vec<String>>,
    /// Most features kept as columns; those that come later are left out, which a start says.
    #[garde(range(min = 0, max = 1_000))]
    pub max_columns: usize,
}

impl Default for ItemsOptions {
    fn default() -> Self {
        Self { columns: None, max_columns: 64 }
    }
}

impl ItemsOptions {
    /// Whether a feature of this name is kept, as far as there is room.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|column| column == name))
    }
}

fn distinct_names(columns: &Option<Vec<String>>, (): &()) -> garde::Result {
    let names = columns.as_deref().unwrap_or_default();
    let again = |at: usize| names[..at].contains(&names[at]);
    let fine = (0..names.len()).all(|at| !names[at].is_empty() && !again(at));
    holds(fine, || "names of features, each once".to_owned())
}
