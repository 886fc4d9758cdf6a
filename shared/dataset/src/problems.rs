//! Everything that is wrong with a folder, told at once.

use std::{collections::BTreeMap, fmt};

use crate::{DatasetError, Rule};

/// Rows that are named of each problem.
const ROWS: usize = 3;

/// Everything that is wrong with a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(BTreeMap<Key, Problem>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    file: String,
    column: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    message: String,
    count: u64,
    rows: Vec<u64>,
}

impl Problems {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// File, column (empty where it is about the whole file) and rule of each.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str, Rule)> {
        self.0.keys().map(|key| (key.file.as_str(), key.column.as_str(), key.rule))
    }

    /// Counts an error of `file`.
    pub(crate) fn add(&mut self, file: &str, error: &DatasetError) {
        let column = error.column().unwrap_or_default().to_owned();
        let key = Key { file: file.to_owned(), column, rule: error.rule() };
        let (message, row) = match error {
            DatasetError::Value { row, problem, .. } => (problem.clone(), Some(*row)),
            other => (other.to_string(), None),
        };
        let problem = self.0.entry(key).or_insert(Problem { message, count: 0, rows: Vec::new() });
        problem.count += 1;
        if problem.rows.len() < ROWS {
            problem.rows.extend(row);
        }
    }

    /// As an error, where there is any.
    pub(crate) fn into_result(self) -> Result<(), DatasetError> {
        if self.is_empty() { Ok(()) } else { Err(DatasetError::Problems(self)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the dataset folder has a problem:")?,
            count => write!(f, "the dataset folder has {count} problems:")?,
        }
        for (key, problem) in &self.0 {
            let Problem { message, count, rows } = problem;
            let Some(first) = rows.first() else {
                write!(f, "\n  {message}")?;
                continue;
            };
            write!(f, "\n  {}: column `{}`, row {first}: {message}", key.file, key.column)?;
            if *count > 1 {
                let rows: Vec<String> = rows.iter().map(u64::to_string).collect();
                let more = if *count > rows.len() as u64 { ", ..." } else { "" };
                write!(f, " ({count} such rows: {}{more})", rows.join(", "))?;
            }
        }
        Ok(())
    }
}

/// What is wrong with one row.
#[derive(Default)]
pub(crate) struct Faults(Vec<DatasetError>);

impl Faults {
    /// A value, or its error remembered.
    pub(crate) fn keep<T>(&mut self, found: Result<T, DatasetError>) -> Option<T> {
        match found {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(error);
                None
            }
        }
    }

    /// The row, where all of it was right.
    pub(crate) fn row<T>(self, row: Option<T>) -> Result<T, Vec<DatasetError>> {
        row.filter(|_| self.0.is_empty()).ok_or(self.0)
    }
}
