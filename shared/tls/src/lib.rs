//! TLS of the ports, and mutual TLS between roles: from files that are read again when they change.
//!
//! TLS 1.2 and 1.3 by rustls with ring. A process has one certificate, which all its ports show
//! (`server.tls`); to other roles it shows one of the roles' own authority (`peers.tls`).

mod client;
mod expiry;
mod files;
mod options;
mod server;
mod signatures;
#[cfg(feature = "test-certificates")]
pub mod test_certificates;

pub use client::{client_config, system_roots};
pub use expiry::CertificateExpiry;
pub use files::provider;
pub use options::{PeerTlsOptions, ServerTlsOptions};
pub use server::{ServerTls, ShownCertificate};
