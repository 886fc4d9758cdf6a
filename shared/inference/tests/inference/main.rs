//! Sessions and verification on ONNX Runtime itself, over the small bundle of `shared/bundle`.
//!
//! They need the library: `ORT_DYLIB_PATH`, or what the project's commands fetched below `target`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batching;
mod bundle_copy;
mod pool;
mod sessions;
mod verifying;
