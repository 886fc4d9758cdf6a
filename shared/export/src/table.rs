//! One table, wherever it is written.

use std::{fmt, str::FromStr, sync::Arc};

use plugrank_dataset::{Negatives, TableTarget};
use plugrank_store::Store;

use crate::{
    ExportError, ExportOptions, ExportReport, ExportWatch, PAGE,
    behaviour::Behaviour,
    catalog::{self, ImageFiles},
    exposures, interactions,
};

/// A table of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTable {
    /// What was shown, and whether it was clicked.
    Interactions,
    /// Served lists.
    Exposures,
    /// The catalog.
    Items,
    /// Users with an interaction, and their profiles.
    Users,
}

impl ExportTable {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Interactions, Self::Exposures, Self::Items, Self::Users];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interactions => "interactions",
            Self::Exposures => "exposures",
            Self::Items => "items",
            Self::Users => "users",
        }
    }

    /// The name of its file in a dataset folder.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Interactions => plugrank_dataset::INTERACTIONS,
            Self::Exposures => plugrank_dataset::EXPOSURES,
            Self::Items => plugrank_dataset::ITEMS,
            Self::Users => plugrank_dataset::USERS,
        }
    }
}

impl fmt::Display for ExportTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ExportTable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|table| table.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("is {text:?}; there are {all}")
        })
    }
}

/// Writes one table. Images are named as in a folder, and not written.
///
/// # Errors
/// As [`ExportError`] says.
pub async fn export_table(
    store: &Arc<dyn Store>,
    table: ExportTable,
    target: TableTarget,
    options: &ExportOptions,
    watch: &dyn ExportWatch,
) -> Result<ExportReport, ExportError> {
    let mut report = ExportReport::default();
    match table {
        ExportTable::Items => {
            let mut images = ImageFiles::unwritten();
            catalog::write(store, target, &mut images, watch, &mut report).await?;
        }
        ExportTable::Exposures => {
            exposures::write(store, target, options, watch, &mut report).await?;
        }
        ExportTable::Users | ExportTable::Interactions => {
            let items = catalog::read_ids(store, watch).await?;
            let behaviour = Behaviour::read(store, &items, options, watch, &mut report).await?;
            if table == ExportTable::Users {
                behaviour.write_users(store, target, watch).await?;
            } else {
                let rows = (&behaviour, &items);
                interactions::write(store, target, rows, options, watch, &mut report).await?;
            }
        }
    }
    Ok(report)
}

/// Whether anything was logged that was not clicked: what `dataset.json` says of the interactions. Ends with
/// the first such entry.
///
/// # Errors
/// When the store does not answer.
pub async fn negatives(
    store: &Arc<dyn Store>,
    options: &ExportOptions,
) -> Result<Negatives, ExportError> {
    let mut cursor = None;
    loop {
        let page = store.scan_histories(cursor, PAGE).await?;
        let shown = |(_, entry): &(_, plugrank_contract::HistoryEntry)| {
            !entry.clicked && options.range.contains(entry.timestamp)
        };
        if page.entries.iter().any(shown) {
            return Ok(Negatives::Logged);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Negatives::Matched);
        }
    }
}
