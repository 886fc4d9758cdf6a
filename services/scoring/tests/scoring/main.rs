//! The scoring service over a real store, a real item table and real graphs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod facts;
mod fixture;
mod hanging;
mod infer;
mod late;
mod offline;
mod scores;
#[path = "../../../../shared/encoding/tests/encoding/slow_store.rs"]
mod slow_store;
mod unknown;
