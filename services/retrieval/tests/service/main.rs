//! Retrieval as a whole, over a real store.

mod changes;
mod engine;
mod filters;
mod following;
mod redis;
mod requests;
mod shop;
mod shown_too_often;
mod similar;
mod snapshots;
