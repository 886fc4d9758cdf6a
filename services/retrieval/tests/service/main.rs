//! Retrieval as a whole, over a real store.

mod changes;
mod requests;
mod shop;
