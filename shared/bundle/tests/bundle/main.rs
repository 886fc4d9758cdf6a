//! A small committed bundle, and errors about corrupted copies of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle_copy;
mod features;
mod images;
mod open;
mod rules;
mod schema;
mod text;
mod typed;
