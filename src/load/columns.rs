//! What happens to a folder's columns: one table, and a refusal where the bundle reads what is not there.

use std::{collections::BTreeMap, fmt::Write};

use plugrank_bundle::{
    Bundle, FeatureEncoder,
    features::{Feature, Observed, Presence, Seen},
};
use plugrank_contract::{FeatureValues, User};
use plugrank_dataset::{Batches, DatasetFolder, DatasetItem};
use serde::Serialize;

use super::{LoadError, interactions};

/// The bundle that is to rank what is loaded, and what of it the data may lack.
#[derive(Debug)]
pub struct Reader<'a> {
    /// Its manifest says which columns it reads.
    pub bundle: &'a Bundle,
    /// Its vocabularies say which values it knows.
    pub encoder: &'a FeatureEncoder,
    /// Columns that the data may lack.
    pub allow_absent: &'a [String],
}

/// What happened to one column, or of one feature of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnLine {
    /// The file.
    pub file: &'static str,
    /// The column.
    pub column: String,
    /// The bundle's feature; `None` where it reads none from there.
    pub feature: Option<String>,
    /// Share of rows without a value.
    pub missing: Option<f64>,
    /// Share of rows with a value outside the vocabulary.
    pub unknown: Option<f64>,
    /// The shares of missing and unknown ones that training saw.
    pub trained: Option<[f64; 2]>,
    /// Why it is not used, or what else is to be known.
    pub note: String,
}

/// Columns that the bundle reads and the data lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The file.
    pub file: &'static str,
    /// The column.
    pub column: String,
    /// The feature.
    pub feature: String,
}

/// Reads items and users once and says what happens to every column.
pub(super) fn survey(
    folder: &DatasetFolder,
    reader: Option<&Reader<'_>>,
) -> Result<Vec<ColumnLine>, LoadError> {
    let features = |of: fn(&Bundle) -> &[Feature]| reader.map_or(&[][..], |one| of(one.bundle));
    let mut absent = Vec::new();
    let mut lines = Vec::new();

    let items = features(|bundle| &bundle.manifest().features.item);
    let table = Table { file: "items.parquet", built_in: &ITEM_COLUMNS, features: items };
    let see = |row: &DatasetItem, seen: &mut dyn FnMut(usize, Presence)| {
        reader.iter().for_each(|reader| reader.encoder.see_item(&row.item, &mut *seen));
    };
    let told = read(folder.items()?, items.len(), |row| &row.item.features, see)?;
    table.tell(&told, reader, &mut lines, &mut absent);

    let users = features(|bundle| &bundle.manifest().features.user);
    let table = Table { file: "users.parquet", built_in: &["user_id"], features: users };
    let see = |user: &User, seen: &mut dyn FnMut(usize, Presence)| {
        reader
            .iter()
            .for_each(|reader| reader.encoder.see_user(&user.user_id, Some(user), &mut *seen));
    };
    let told = read(folder.users()?, users.len(), |user| &user.features, see)?;
    table.tell(&told, reader, &mut lines, &mut absent);

    tell_of_histories(folder, reader, &mut lines, &mut absent)?;
    tell_of_requests(folder, reader, &mut lines)?;
    if absent.is_empty() { Ok(lines) } else { Err(LoadError::Absent(absent)) }
}

/// Columns of items that are no features by themselves, and that a bundle may read.
const ITEM_COLUMNS: [&str; 4] = ["item_id", "title", "text", "categories"];

/// A table, and what a bundle reads of it.
struct Table<'a> {
    file: &'static str,
    /// Columns that every folder has.
    built_in: &'a [&'static str],
    features: &'a [Feature],
}

/// What was found in a table.
struct Found {
    rows: u64,
    /// Of each further column, rows with a value.
    columns: BTreeMap<String, u64>,
    /// Of each feature of the bundle.
    seen: Vec<Seen>,
    ignored: Vec<String>,
}

fn read<T>(
    batches: Batches<T>,
    features: usize,
    values: impl Fn(&T) -> &FeatureValues,
    see: impl Fn(&T, &mut dyn FnMut(usize, Presence)),
) -> Result<Found, LoadError> {
    let mut found = Found {
        rows: 0,
        columns: batches.feature_columns().iter().map(|name| (name.clone(), 0)).collect(),
        seen: vec![Seen::default(); features],
        ignored: batches.ignored_columns().to_vec(),
    };
    for batch in batches {
        for row in batch? {
            found.rows += 1;
            for name in values(&row).keys() {
                if let Some(count) = found.columns.get_mut(name) {
                    *count += 1;
                }
            }
            let seen = &mut found.seen;
            see(&row, &mut |feature, presence| seen[feature].add(presence));
        }
    }
    Ok(found)
}

impl Table<'_> {
    fn tell(
        &self,
        found: &Found,
        reader: Option<&Reader<'_>>,
        lines: &mut Vec<ColumnLine>,
        absent: &mut Vec<Absent>,
    ) {
        self.tell_features(found, reader, lines, absent);
        let read = |name: &str| self.features.iter().any(|feature| feature.column() == Some(name));
        for (name, with_value) in found.columns.iter().filter(|(name, _)| !read(name)) {
            let missing = 1.0 - *with_value as f64 / found.rows.max(1) as f64;
            let note = match reader {
                Some(_) => "not read by the bundle; filters and the value formula can name it",
                None => "filters and the value formula can name it",
            };
            let missing = Some(missing);
            lines.push(ColumnLine { missing, note: note.to_owned(), ..self.line(name) });
        }
        for name in &found.ignored {
            let note = "not used: no feature has such a type".to_owned();
            lines.push(ColumnLine { note, ..self.line(name) });
        }
    }

    fn line(&self, column: &str) -> ColumnLine {
        ColumnLine {
            file: self.file,
            column: column.to_owned(),
            feature: None,
            missing: None,
            unknown: None,
            trained: None,
            note: String::new(),
        }
    }

    /// What happened to the features of the bundle.
    fn tell_features(
        &self,
        found: &Found,
        reader: Option<&Reader<'_>>,
        lines: &mut Vec<ColumnLine>,
        absent: &mut Vec<Absent>,
    ) {
        for (feature, seen) in self.features.iter().zip(&found.seen) {
            let column = feature.column().unwrap_or_default();
            let there = self.built_in.contains(&column) || found.columns.contains_key(column);
            let nothing = found.rows > 0 && seen.missing == found.rows;
            let allowed =
                reader.is_some_and(|one| one.allow_absent.iter().any(|name| name == column));
            if (!there || nothing) && !allowed {
                let (column, feature) = (column.to_owned(), feature.name.clone());
                absent.push(Absent { file: self.file, column, feature });
                continue;
            }
            lines.push(ColumnLine {
                feature: Some(feature.name.clone()),
                missing: Some(seen.missing_share()),
                unknown: Some(seen.unknown_share()),
                trained: feature.observed.map(|Observed { missing, unknown }| [missing, unknown]),
                note: if there { String::new() } else { "absent, as allowed".to_owned() },
                ..self.line(column)
            });
        }
    }
}

/// Action and value are kept in histories. Where a bundle reads them, the log is read once for it.
fn tell_of_histories(
    folder: &DatasetFolder,
    reader: Option<&Reader<'_>>,
    lines: &mut Vec<ColumnLine>,
    absent: &mut Vec<Absent>,
) -> Result<(), LoadError> {
    let features = reader.map_or(&[][..], |one| &one.bundle.manifest().features.history);
    let table = Table { file: "interactions.parquet", built_in: &[], features };
    let batches = folder.interactions_without_requests()?;
    let mut found = Found {
        rows: 0,
        columns: batches.feature_columns().iter().map(|name| (name.clone(), 0)).collect(),
        seen: vec![Seen::default(); features.len()],
        ignored: Vec::new(),
    };
    if let Some(reader) = reader.filter(|_| !features.is_empty()) {
        for batch in batches {
            for row in batch? {
                found.rows += 1;
                let (_, entry) = interactions::entry(row);
                reader.encoder.see_entry(&entry, |at, presence| found.seen[at].add(presence));
            }
        }
    }
    table.tell_features(&found, reader, lines, absent);
    let read = |name: &str| features.iter().any(|feature| feature.column() == Some(name));
    for name in found.columns.keys().filter(|name| !read(name)) {
        let note = "kept in histories; not read by the bundle".to_owned();
        lines.push(ColumnLine { note, ..table.line(name) });
    }
    Ok(())
}

/// Further columns of the log are of its requests: a server is given them by its callers.
fn tell_of_requests(
    folder: &DatasetFolder,
    reader: Option<&Reader<'_>>,
    lines: &mut Vec<ColumnLine>,
) -> Result<(), LoadError> {
    let features = reader.map(|reader| &reader.bundle.manifest().features);
    for name in folder.interactions_without_requests()?.ignored_columns() {
        let of = |features: &[Feature]| {
            let found = features.iter().find(|feature| feature.column() == Some(name));
            found.map(|feature| feature.name.clone())
        };
        let request = features.and_then(|features| of(&features.request));
        let candidate = features.and_then(|features| of(&features.candidate));
        let (feature, note) = match (request, candidate) {
            (Some(feature), _) => {
                (Some(feature), "not loaded: callers give it in context.features")
            }
            (_, Some(feature)) => {
                (Some(feature), "not loaded: callers give it with each candidate")
            }
            _ => (None, "not loaded: of the log's requests"),
        };
        lines.push(ColumnLine {
            file: "interactions.parquet",
            column: name.clone(),
            feature,
            missing: None,
            unknown: None,
            trained: None,
            note: note.to_owned(),
        });
    }
    Ok(())
}

/// The table for people.
#[must_use]
pub fn table(lines: &[ColumnLine]) -> String {
    let share = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
    };
    let header = ["file", "column", "feature", "missing", "unknown", "in training", ""];
    let cells = lines.iter().map(|line| {
        let trained = line.trained.map(|[missing, unknown]| {
            format!("{} / {}", share(Some(missing)), share(Some(unknown)))
        });
        [
            line.file.to_owned(),
            line.column.clone(),
            line.feature.clone().unwrap_or_else(|| "-".to_owned()),
            share(line.missing),
            share(line.unknown),
            trained.unwrap_or_else(|| "-".to_owned()),
            line.note.clone(),
        ]
    });
    let rows: Vec<[String; 7]> = std::iter::once(header.map(str::to_owned)).chain(cells).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {cell:<width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
