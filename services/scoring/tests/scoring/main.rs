//! The scoring service over a real store, real embeddings and real graphs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod hanging;
mod late;
mod offline;
mod scores;
#[path = "../../../embedding/tests/embedding/slow_store.rs"]
mod slow_store;
