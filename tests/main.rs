//! Whole flows: the real binary, real files, real HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod e2e;
mod failure;
mod fleet;
