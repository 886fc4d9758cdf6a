//! The ONNX Runtime library, taken out of its Python wheel.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{once, wheel};

/// The release that `ort` in Cargo.toml was built for.
pub(crate) const VERSION: &str = "1.31.1";

/// Path of the library; fetches it when it is not there yet.
pub(crate) fn ensure() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) {
        if !given.is_file() {
            bail!(
                "ORT_DYLIB_PATH names {}, which is no file; correct or unset it",
                given.display()
            );
        }
        return Ok(given);
    }
    once::at_a_time("onnxruntime", fetch)
}

fn fetch() -> Result<PathBuf> {
    let folder = crate::target().join(format!("onnxruntime-{VERSION}"));
    if let Some(library) = find(&folder) {
        return Ok(library);
    }
    println!("fetching ONNX Runtime {VERSION}");
    wheel::unpack("onnxruntime", VERSION, &folder)?;
    find(&folder)
        .with_context(|| format!("the onnxruntime wheel holds no library in {}", folder.display()))
}

fn find(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder.join("onnxruntime/capi")).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let library = name.starts_with("libonnxruntime.") && !name.contains("providers");
        library && (name.contains(".so") || name.ends_with(".dylib"))
    })
}
