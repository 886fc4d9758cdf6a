//! One [`Service`] trait; an actor in this process or HTTP to another behind it.
//!
//! A service is started once, as an actor. [`Local`] wraps its address and its admission limit.
//! [`server`] serves that same `Local` over HTTP, and [`Remote`] calls it from another process, so
//! overload, deadline and error behave alike in one process and across machines.

pub mod actor;
mod decode;
mod for_model;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod local;
pub mod remote;
pub mod server;
pub mod service;
mod spans;
mod turns;
pub mod wire;
mod work;

pub use for_model::ForModel;
pub use local::{Local, LocalOptions};
pub use remote::{
    EndpointStatus, ExternalHttp, ExternalReply, ExternalRequest, PeerOptions, Remote,
    RemoteOptions,
};
pub use service::{Client, Service};
pub use turns::{InTurns, expected_wait, in_turns};
