//! Plugrank's composition root: commands, loading, and the wiring of roles.

pub mod admin;
pub mod cli;
pub mod commands;
pub mod experiment;
pub mod export;
pub mod load;
pub mod reserved_port;
pub mod role_server;
pub mod tune;
pub mod wiring;
