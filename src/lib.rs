//! Plugrank's composition root: commands, loading, and the wiring of roles.

#[cfg_attr(not(feature = "tail-sampling"), path = "admin_off.rs")]
pub mod admin;
pub mod cli;
pub mod commands;
pub mod config_arg;
pub mod demo;
pub mod experiment;
mod export_remote;
pub mod features;
pub mod load;
pub mod models;
pub mod reload;
pub mod reserved_port;
pub mod role_access;
pub mod role_server;
pub mod server_client;
pub mod settings;
mod start_line;
pub mod top;
pub mod tune;
pub mod wiring;

pub use settings::Settings;
