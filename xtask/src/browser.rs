//! Tests of the pages in a real Chromium.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    demo::{self, Build},
    ort_library, process, system_packages, venv,
};

/// Playground and admin page, against a real server.
pub(crate) fn test() -> Result<()> {
    let mut pytest = Command::new(python()?);
    pytest.args(["-m", "pytest", "-q", "--durations=5"]);
    pytest.current_dir(crate::root().join("tests/browser"));
    pytest.env("CHROMIUM", system_packages::chromium()?);
    pytest.env("PLUGRANK", demo::build(Build::Debug)?);
    process::run(pytest.env("ORT_DYLIB_PATH", ort_library::ensure()?))
}

pub(crate) fn python() -> Result<PathBuf> {
    venv::ensure("browser-venv", "tests/browser", "what the tests of pages need")
}
