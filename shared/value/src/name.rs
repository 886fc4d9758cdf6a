//! What a formula can name.

use std::fmt;

/// A name in a formula.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueName {
    /// The probability of one of the model's tasks: `click`.
    Task(Box<str>),
    /// A number among an item's columns: `item.price`.
    Item(Box<str>),
    /// A feature of the request that is a number: `request.basket`.
    Request(Box<str>),
    /// A number that the caller gives of a candidate: `candidate.bid`.
    Candidate(Box<str>),
}

impl ValueName {
    /// The name as a formula spells it: what is before the first dot says of what it is.
    pub(crate) fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some(("item", name)) => Self::Item(name.into()),
            Some(("request", name)) => Self::Request(name.into()),
            Some(("candidate", name)) => Self::Candidate(name.into()),
            _ => Self::Task(text.into()),
        }
    }
}

impl fmt::Display for ValueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(name) => f.write_str(name),
            Self::Item(name) => write!(f, "item.{name}"),
            Self::Request(name) => write!(f, "request.{name}"),
            Self::Candidate(name) => write!(f, "candidate.{name}"),
        }
    }
}
