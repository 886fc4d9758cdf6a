//! A small committed bundle, and what happens to it when something about it is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod copy;
mod features;
mod images;
mod open;
mod rules;
mod schema;
mod text;
mod typed;
