//! Retrieval as a whole, over a real store.

mod changes;
mod following;
mod redis;
mod requests;
mod shop;
mod snapshots;
