//! What is wrong with a definition, all of it at once.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionProblem {
    /// Where, such as `experiments[0].arms[1].permille`; empty for the whole document.
    pub path: String,
    /// What, as a sentence that follows the path.
    pub message: String,
}

impl fmt::Display for DefinitionProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// All that is wrong, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefinitionProblems {
    list: Vec<DefinitionProblem>,
}

impl DefinitionProblems {
    /// The problems, in the order of the document.
    #[must_use]
    pub fn list(&self) -> &[DefinitionProblem] {
        &self.list
    }

    pub(super) fn one(path: &str, message: String) -> Self {
        Self { list: vec![DefinitionProblem { path: path.to_owned(), message }] }
    }

    pub(super) fn add(&mut self, path: String, message: impl Into<String>) {
        self.list.push(DefinitionProblem { path, message: message.into() });
    }

    /// These, and those of `later` about other places: a value that could not be read was left
    /// out, and is not reported as missing as well.
    pub(super) fn and(mut self, later: Self) -> Self {
        let known: Vec<String> = self.list.iter().map(|problem| problem.path.clone()).collect();
        let about_known = |path: &str| {
            known.iter().any(|known| {
                path.strip_prefix(known.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
        };
        self.list.extend(later.list.into_iter().filter(|problem| !about_known(&problem.path)));
        self
    }

    pub(super) fn none_of(self) -> Result<(), Self> {
        if self.list.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for DefinitionProblems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionProblems {}
