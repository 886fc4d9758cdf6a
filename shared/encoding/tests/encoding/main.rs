//! Encoding over a real store and real graphs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cached_states;
mod catalog;
mod fast_path;
mod fixture;
mod late;
mod one_bad_item;
mod records;
mod slow_store;
mod users;
