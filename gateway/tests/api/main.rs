//! The REST API over real HTTP, with fakes of the stages behind it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod admission;
mod bad_requests;
mod batch;
mod events;
mod experiments;
mod export;
mod items;
mod ladder;
mod models;
mod operation;
mod ranking;
mod stages;
mod store;
mod support;
mod surfaces;
mod tracing;
mod writes;
