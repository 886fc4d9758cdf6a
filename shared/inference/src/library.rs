//! The ONNX Runtime library: found and loaded once a process.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use ort::environment::Environment;
use parking_lot::Mutex;

use crate::InferenceError;

/// Names the library when the settings do not.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The loaded library. Cheap to clone; ONNX Runtime itself exists once a process.
#[derive(Clone)]
pub struct Library {
    pub(crate) environment: Environment,
}

/// ONNX Runtime allows one environment a process, so a second load gives the first.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

impl Library {
    /// Loads the library at `path`; without one, that of [`find_library`].
    ///
    /// # Errors
    /// When there is no library, or it is not one this version can use.
    pub fn load(path: Option<&Path>) -> Result<Self, InferenceError> {
        let mut loaded = LOADED.lock();
        if let Some(environment) = &*loaded {
            return Ok(Self { environment: environment.clone() });
        }
        let path = match path {
            Some(path) => path.to_owned(),
            None => find_library().ok_or(InferenceError::NoLibrary)?,
        };
        if !path.is_file() {
            return Err(InferenceError::Library { path, message: "there is no such file".into() });
        }
        let failed = |message: String| InferenceError::Library { path: path.clone(), message };
        let environment = ort::environment::init_from(&path)
            .map_err(|error| failed(error.to_string()))?
            .with_name("plugrank")
            .with_telemetry(false)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        // Left as it is made, it words a message for every run, for us to throw away.
        environment.set_log_level(ort::logging::LogLevel::Warning);
        *loaded = Some(environment.clone());
        Ok(Self { environment })
    }
}

/// Looks for the library where it usually is: `ORT_DYLIB_PATH`, beside the program, and what the
/// project's commands fetched into the build folder that holds the program (the wheel alone, or the
/// virtual environment for training).
#[must_use]
pub fn find_library() -> Option<PathBuf> {
    if let Some(named) = env::var_os(LIBRARY_VARIABLE) {
        return Some(PathBuf::from(named));
    }
    let program = env::current_exe().ok()?;
    let folders = program.ancestors().skip(1).take(4);
    folders.flat_map(candidates).find(|path| path.is_file())
}

fn candidates(folder: &Path) -> Vec<PathBuf> {
    let mut found = libraries(folder);
    for wheel in folders(folder, "onnxruntime-") {
        found.extend(libraries(&wheel.join("onnxruntime/capi")));
    }
    for python in folders(&folder.join("venv/lib"), "python3") {
        found.extend(libraries(&python.join("site-packages/onnxruntime/capi")));
    }
    found
}

/// Folders within `folder` whose names begin so.
fn folders(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

fn libraries(folder: &Path) -> Vec<PathBuf> {
    let is_library = |name: &OsStr| {
        let name = name.to_string_lossy();
        (name.starts_with("libonnxruntime.so") || name.starts_with("libonnxruntime.dylib"))
            && !name.contains("providers")
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| is_library(&entry.file_name())).map(|entry| entry.path()).collect()
}
