//! Everything that is wrong with a folder, told at once.

use std::{collections::BTreeMap, fmt};

use crate::DatasetRule;

/// Rows that are named of each problem.
const ROWS: usize = 3;

/// Everything that is wrong with a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderProblems(BTreeMap<Key, Problem>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    file: String,
    column: String,
    rule: DatasetRule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    message: String,
    count: u64,
    rows: Vec<u64>,
}

impl FolderProblems {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// File, column (empty where it is about the whole file) and rule of each.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str, DatasetRule)> {
        self.0.keys().map(|key| (key.file.as_str(), key.column.as_str(), key.rule))
    }

    /// Counts a break of `rule` in a file's column (empty where it is about the whole file), at `row`
    /// where it is one of a value.
    pub(crate) fn add(
        &mut self,
        (file, column): (&str, &str),
        rule: DatasetRule,
        message: impl FnOnce() -> String,
        row: Option<u64>,
    ) {
        let key = Key { file: file.to_owned(), column: column.to_owned(), rule };
        let new = || Problem { message: message(), count: 0, rows: Vec::new() };
        let problem = self.0.entry(key).or_insert_with(new);
        problem.count += 1;
        if problem.rows.len() < ROWS {
            problem.rows.extend(row);
        }
    }
}

impl fmt::Display for FolderProblems {
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
