//! What rules read of items.

use plugrank_contract::{Filter, scoring::RuleInputs};

/// Collects what rules read, each column and filter once.
#[derive(Debug, Default)]
pub struct Inputs(RuleInputs);

impl Inputs {
    /// The number of a column.
    pub fn column(&mut self, name: &str) -> usize {
        let columns = &mut self.0.columns;
        columns.iter().position(|one| one == name).unwrap_or_else(|| {
            columns.push(name.to_owned());
            columns.len() - 1
        })
    }

    /// The number of a filter.
    pub fn filter(&mut self, filter: &Filter) -> usize {
        let filters = &mut self.0.filters;
        filters.iter().position(|one| one == filter).unwrap_or_else(|| {
            filters.push(filter.clone());
            filters.len() - 1
        })
    }

    /// Reads how often items were shown and clicked.
    pub fn stats(&mut self) {
        self.0.stats = true;
    }

    /// Puts candidates in another order than that of their probabilities.
    pub fn reorders(&mut self) {
        self.0.reorders = true;
    }

    /// All of it.
    #[must_use]
    pub fn done(self) -> RuleInputs {
        self.0
    }
}

/// What is wrong with a filter of a rule.
pub(crate) fn filter_problem(filter: &Filter) -> Option<String> {
    if filter.is_empty() {
        return Some("`filter` is empty: it says which items are meant".to_owned());
    }
    let problem = filter.problems().into_iter().next()?;
    Some(format!("`filter` is wrong at {}: {}", problem.pointer, problem.detail))
}
