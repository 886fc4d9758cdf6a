mod bad_requests;
mod bundle;
mod events;
mod parity;
mod rank;
mod settings;
pub(crate) mod site;
mod split;
mod tracing;
