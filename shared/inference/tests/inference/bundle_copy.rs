//! Copies of the small bundle that a test may corrupt.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use plugrank_bundle::{Bundle, GraphName, TensorDtype};
use plugrank_inference::{
    Library, Session, SessionOptions, Tensor, TensorData, VerifyError, VerifyReport, verify,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// ONNX Runtime, or a message that says how to get it.
pub(crate) fn library() -> Library {
    Library::load(None).unwrap_or_else(|error| panic!("{error}"))
}

/// Path of something in the fixtures of `shared/bundle`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundle/tests/fixtures").join(name)
}

/// The small bundle as it was committed.
pub(crate) fn small() -> Bundle {
    Bundle::open(&fixture("small")).unwrap()
}

/// A graph of the small bundle.
pub(crate) fn session(graph: GraphName) -> Session {
    let path = small().graph_path(graph).unwrap();
    Session::load(&library(), &path, SessionOptions::default()).unwrap()
}

/// The reference inputs and outputs of a graph in a folder, by `in/NAME` and `out/NAME`.
pub(crate) fn reference(folder: &Path, graph: GraphName) -> BTreeMap<String, Tensor> {
    let bytes = fs::read(folder.join("reference.safetensors")).unwrap();
    let prefix = format!("{graph}/");
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let own = stored.tensors().into_iter().filter_map(|(name, view)| {
        let dtype = match view.dtype() {
            Dtype::F16 => TensorDtype::F16,
            Dtype::F32 => TensorDtype::F32,
            _ => TensorDtype::I64,
        };
        let data = TensorData::from_le_bytes(dtype, view.data()).unwrap();
        let tensor = Tensor { shape: view.shape().to_vec(), data };
        Some((name.strip_prefix(&prefix)?.to_owned(), tensor))
    });
    own.collect()
}

/// A copy of the small bundle.
pub(crate) struct BundleCopy {
    folder: TempDir,
}

impl BundleCopy {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let small = fixture("small");
        let manifest: Value =
            serde_json::from_slice(&fs::read(small.join("manifest.json")).unwrap()).unwrap();
        fs::create_dir(folder.path().join("vocab")).unwrap();
        for file in manifest["files"].as_object().unwrap().keys() {
            fs::copy(small.join(file), folder.path().join(file)).unwrap();
        }
        fs::copy(small.join("manifest.json"), folder.path().join("manifest.json")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Changes the manifest.
    pub(crate) fn edit(self, change: impl FnOnce(&mut Value)) -> Self {
        let path = self.path("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        fs::write(path, manifest.to_string()).unwrap();
        self
    }

    /// Changes a file's bytes and leaves the list of files as it was.
    pub(crate) fn spoil(self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut content = fs::read(self.path(file)).unwrap();
        change(&mut content);
        fs::write(self.path(file), content).unwrap();
        self
    }

    /// Lists a file with the size and checksum it has now.
    pub(crate) fn list(self, file: &str) -> Self {
        let content = fs::read(self.path(file)).unwrap();
        let sum: String = Sha256::digest(&content).iter().map(|x| format!("{x:02x}")).collect();
        let entry = json!({ "sha256": sum, "bytes": content.len() });
        self.edit(|manifest| manifest["files"][file] = entry)
    }

    /// Puts one of the wrong graphs in its right one's place.
    pub(crate) fn with_wrong(self, kind: &str, graph: GraphName) -> Self {
        let file = format!("{graph}.onnx");
        fs::copy(fixture("wrong").join(kind).join(&file), self.path(&file)).unwrap();
        self.list(&file)
    }

    /// Replaces a graph's reference outputs by what it gives now.
    pub(crate) fn with_reference_of(self, graph: GraphName) -> Self {
        let path = self.path(&format!("{graph}.onnx"));
        let mut session = Session::load(&library(), &path, SessionOptions::default()).unwrap();
        let rows = reference(self.folder.path(), graph);
        let inputs: Vec<_> =
            rows.iter().filter_map(|(name, x)| Some((name.strip_prefix("in/")?, x))).collect();
        let outputs = session.run(&inputs).unwrap();
        let bytes = fs::read(self.path("reference.safetensors")).unwrap();
        let stored = SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = stored
            .tensors()
            .into_iter()
            .map(|(name, x)| (name, (x.dtype(), x.shape().to_vec(), x.data().to_vec())))
            .collect();
        for (port, output) in session.outputs().iter().zip(&outputs) {
            let entry = tensors.get_mut(&format!("{graph}/out/{}", port.name)).unwrap();
            entry.2 = output.data.to_le_bytes();
        }
        let views = tensors
            .iter()
            .map(|(name, (dtype, shape, data))| {
                (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
            })
            .collect::<Vec<_>>();
        let bytes = safetensors::serialize(views, None).unwrap();
        fs::write(self.path("reference.safetensors"), bytes).unwrap();
        self.list("reference.safetensors")
    }

    pub(crate) fn verify(&self) -> Result<VerifyReport, VerifyError> {
        verify(&Bundle::open(self.folder.path())?, &library(), SessionOptions::default())
    }

    /// The message with which verification fails.
    pub(crate) fn refused(&self) -> String {
        self.verify().map(|_| "it was verified").unwrap_err().to_string()
    }
}
