//! A request as it was measured, for spans that are made after its end.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use opentelemetry::Value;
use serde::Serialize;

/// A span by what was measured.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    /// What was done.
    pub name: Cow<'static, str>,
    /// When it began.
    pub began: Instant,
    /// Time it took.
    pub spent: Duration,
    /// What is known about it.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// A request that was not recorded while it ran.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The request itself.
    pub request: SpanRecord,
    /// Its stages, in the order they ran.
    pub stages: Vec<SpanRecord>,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Attribute {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Flag(flag) => Self::Bool(flag),
            Attribute::Int(number) => Self::I64(number),
            Attribute::Float(number) => Self::F64(number),
            Attribute::Text(text) => Self::String(text.into()),
        }
    }
}
