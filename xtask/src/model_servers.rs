//! The Python environment with Triton's client and MLServer, which the tests of the Open Inference
//! Protocol are compared with.

use std::path::PathBuf;

use anyhow::Result;

use crate::venv;

/// The environment's interpreter.
pub(crate) fn ensure() -> Result<PathBuf> {
    let requirements = "tests/open_inference/requirements.txt";
    venv::ensure("open-inference-venv", requirements, "Triton's client and MLServer")
}
