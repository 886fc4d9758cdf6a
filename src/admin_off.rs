//! In place of tail sampling and the port for operators where they are left out of the build. Settings
//! that name the port were refused ([`crate::features`]).

use std::sync::Arc;

use anyhow::Result;
use plugrank_access::Gate;
use plugrank_runtime::{
    options::AdminOptions,
    telemetry::{LogLevel, TailSampler},
};
use plugrank_tls::ServerTls;

/// No port.
pub enum Admin {}

/// Neither a port nor tail sampling.
pub type Started = (Option<Admin>, Option<Arc<dyn TailSampler>>);

/// None.
///
/// # Errors
/// Never.
pub fn start(_: &AdminOptions, _: &Gate, _: Option<&ServerTls>) -> Result<Started> {
    Ok((None, None))
}

impl Admin {
    /// Never.
    pub fn serve(self, _: LogLevel) {
        match self {}
    }
}
