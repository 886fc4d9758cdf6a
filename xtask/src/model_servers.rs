//! The Python environment with Triton's client and MLServer, which the tests of the Open Inference
//! Protocol are compared with.

use std::path::PathBuf;

use anyhow::Result;

use crate::venv;

/// The environment's interpreter.
pub(crate) fn ensure() -> Result<PathBuf> {
    let home = "tests/open_inference";
    venv::ensure("open-inference-venv", home, "Triton's client and MLServer")
}
