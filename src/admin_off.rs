//! In place of tail sampling and the port for operators where they are left out of the build. Settings
//! that name the port were refused ([`crate::features`]).

use std::sync::Arc;

use anyhow::Result;
use plugrank_runtime::{options::AdminOptions, telemetry::TailSampler};

/// None.
///
/// # Errors
/// Never.
pub fn start(_: &AdminOptions) -> Result<Option<Arc<dyn TailSampler>>> {
    Ok(None)
}
