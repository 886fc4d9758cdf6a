//! The embedding role: item records and user states for other processes.
//!
//! What encodes and caches is the library `plugrank-encoding`; a role that has it beside itself
//! calls it and needs no service.

mod service;

pub use service::EmbeddingService;
