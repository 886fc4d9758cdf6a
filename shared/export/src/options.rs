//! What is exported, and what it came to.

use std::collections::BTreeMap;

use plugrank_dataset::Time;
use plugrank_store::TimeRange;
use serde::Serialize;

/// What is exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Name of the dataset.
    pub name: String,
    /// What the timestamps in the store mean.
    pub time: Time,
    /// Only interactions and served lists of this time.
    pub range: TimeRange,
    /// Types of events that are labels of further tasks, with the task.
    pub tasks: BTreeMap<String, String>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            name: "export".to_owned(),
            time: Time::Ms,
            range: TimeRange::ALL,
            tasks: BTreeMap::new(),
        }
    }
}

impl ExportOptions {
    /// The further tasks, each once, in the order of their names.
    pub(crate) fn task_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tasks.values().cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Items.
    pub items: u64,
    /// Of them, those with an image.
    pub images: u64,
    /// Users with an interaction.
    pub users: u64,
    /// Interactions.
    pub interactions: u64,
    /// Of them, those whose request is known.
    pub with_request: u64,
    /// Of them, those whose place in the list is known.
    pub with_position: u64,
    /// Rows of served lists.
    pub exposures: u64,
    /// Interactions left out: they are of another time.
    pub other_time: u64,
    /// Interactions left out: the store no longer has their item.
    pub unknown_items: u64,
    /// Features of requests left out: a column of interactions that means something else has their name.
    pub reserved_features: Vec<String>,
}
