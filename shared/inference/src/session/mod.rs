//! A graph that can be run.

mod prepared;

use std::{borrow::Cow, fmt, path::Path};

use half::f16;
use ort::{
    ep::{self, ExecutionProvider},
    logging::LogLevel,
    session::{SessionInputValue, builder::GraphOptimizationLevel},
    value::{DynValue, TensorElementType, TensorRef, ValueType},
};
use plugrank_bundle::{Dim, TensorDtype};

pub use self::prepared::{Prepared, PreparedOutputs, Slot, SpareInputs};
use crate::{InferenceError, Library, Provider, Tensor, TensorData};

/// How a graph is loaded.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// What it runs on.
    pub provider: Provider,
    /// Which GPU.
    pub device: u32,
    /// Threads inside one run, at least 1.
    pub threads: usize,
    /// Whether the processor takes over, with a warning, where the provider cannot be used.
    pub fallback: bool,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { provider: Provider::Cpu, device: 0, threads: 1, fallback: false }
    }
}

impl SessionOptions {
    /// Whether the thread that runs the graph does all of the work.
    fn computes_here(self) -> bool {
        self.provider == Provider::Cpu && self.threads <= 1
    }
}

/// An input or output as the graph itself declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type; `None` for one that bundles do not use.
    pub dtype: Option<TensorDtype>,
    /// The element type's name in ONNX.
    pub type_name: String,
    /// Dimensions; what varies has the name the graph gives it, possibly none.
    pub shape: Vec<Dim>,
}

/// A graph that can be run. One run at a time; for more at a time load it again.
#[derive(Debug)]
pub struct Session {
    session: ort::session::Session,
    provider: Provider,
    threads: usize,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl Session {
    /// Loads a graph.
    ///
    /// # Errors
    /// When the file is no graph, or the provider cannot be used and there is to be no fallback.
    pub fn load(
        library: &Library,
        path: &Path,
        options: SessionOptions,
    ) -> Result<Self, InferenceError> {
        match Self::load_on(library, path, options) {
            Err(InferenceError::Provider { provider, message }) if options.fallback => {
                tracing::warn!(
                    graph = %path.display(),
                    provider,
                    message,
                    "the graph runs on the processor instead"
                );
                Self::load_on(library, path, SessionOptions { provider: Provider::Cpu, ..options })
            }
            loaded => loaded,
        }
    }

    /// At low priority beside requests: reading and optimising a graph takes long. Threads of the graph's own would keep
    /// that priority, so one that has some is loaded as anything else.
    fn load_on(
        library: &Library,
        path: &Path,
        options: SessionOptions,
    ) -> Result<Self, InferenceError> {
        match options.computes_here() {
            true => plugrank_background::beside(|| Self::build(library, path, options)),
            false => Self::build(library, path, options),
        }
    }

    fn build(
        library: &Library,
        path: &Path,
        options: SessionOptions,
    ) -> Result<Self, InferenceError> {
        let failed = |message: String| InferenceError::Graph { path: path.to_owned(), message };
        let built = |error: &dyn fmt::Display| failed(error.to_string());
        let mut builder = ort::session::Session::builder(&library.environment)
            .map_err(|error| built(&error))?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(|error| built(&error))?
            .with_intra_threads(options.threads.max(1))
            .map_err(|error| built(&error))?
            .with_inter_threads(1)
            .map_err(|error| built(&error))?
            // Threads that spin while idle would take the cores from everything else here.
            .with_intra_op_spinning(false)
            .map_err(|error| built(&error))?
            // ONNX Runtime keeps memory patterns by the exclusive or of all inputs' dimensions, so
            // that most shapes of a graph share one. Those that it was not made for find no block
            // in it, and log that, at every operator.
            .with_memory_pattern(false)
            .map_err(|error| built(&error))?
            // Below warnings, messages are formatted at every run before `tracing` drops them.
            .with_log_level(LogLevel::Warning)
            .map_err(|error| built(&error))?;
        if options.provider == Provider::Cuda {
            let unusable = |message: String| InferenceError::Provider { provider: "cuda", message };
            if !ep::CUDA::is_available().map_err(|error| unusable(error.to_string()))? {
                return Err(unusable("the library was built without it".into()));
            }
            let device =
                i32::try_from(options.device).map_err(|error| unusable(error.to_string()))?;
            // TF32 keeps 10 bits of the mantissa: scores would leave the reference's tolerance.
            let cuda = ep::CUDA::default().with_device_id(device).with_tf32(false);
            let cuda = cuda.build().error_on_failure();
            builder = builder
                .with_execution_providers([cuda])
                .map_err(|error| unusable(error.to_string()))?;
        }
        let session = builder.commit_from_file(path).map_err(|error| built(&error))?;
        let ports = |outlets: &[ort::value::Outlet]| outlets.iter().map(port).collect();
        let (inputs, outputs) = (ports(session.inputs()), ports(session.outputs()));
        let SessionOptions { provider, threads, .. } = options;
        Ok(Self { session, provider, threads, inputs, outputs })
    }

    /// What the graph really runs on.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Whether the thread that runs it does all of the work.
    #[must_use]
    pub fn computes_here(&self) -> bool {
        let (provider, threads) = (self.provider, self.threads);
        SessionOptions { provider, threads, ..SessionOptions::default() }.computes_here()
    }

    /// The graph's inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The graph's outputs.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs the graph on named inputs, which are read where they lie. Answers all outputs, in the
    /// graph's order.
    ///
    /// # Errors
    /// When an input is missing, of the wrong type or shape, or the run fails.
    pub fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, InferenceError> {
        let values = inputs
            .iter()
            .map(|(name, tensor)| {
                self.accepts(name, tensor)?;
                Ok((Cow::Borrowed(*name), value(name, tensor)?))
            })
            .collect::<Result<Vec<_>, InferenceError>>()?;
        let ran = |error: &dyn fmt::Display| InferenceError::Run(error.to_string());
        let results = self.session.run(values).map_err(|error| ran(&error))?;
        self.outputs
            .iter()
            .map(|output| {
                let value = results
                    .get(&output.name)
                    .ok_or_else(|| InferenceError::Run(format!("no output `{}`", output.name)))?;
                tensor(value).map_err(|error| ran(&error))
            })
            .collect()
    }

    /// Runs the graph for its failure alone.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn probe(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), String> {
        self.run(inputs).map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Session {
    fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// ONNX Runtime's own message does not say which input has the wrong type.
    fn accepts(&self, name: &str, tensor: &Tensor) -> Result<(), InferenceError> {
        let port = self.input(name);
        let got = tensor.data.dtype();
        match port.map(|port| port.dtype) {
            Some(Some(expected)) if expected != got => {
                Err(InferenceError::Dtype { input: name.to_owned(), got, expected })
            }
            Some(_) => Ok(()),
            None => Err(InferenceError::Run(format!("the graph has no input `{name}`"))),
        }
    }
}

fn value<'a>(name: &str, tensor: &'a Tensor) -> Result<SessionInputValue<'a>, InferenceError> {
    let elements: usize = tensor.shape.iter().product();
    if elements != tensor.data.len() {
        return Err(InferenceError::Shape {
            input: name.to_owned(),
            shape: tensor.shape.clone(),
            elements: tensor.data.len(),
        });
    }
    let shape = tensor.shape.clone();
    let value: Result<SessionInputValue<'a>, ort::Error> = match &tensor.data {
        TensorData::F16(data) => TensorRef::from_array_view((shape, &data[..])).map(Into::into),
        TensorData::F32(data) => TensorRef::from_array_view((shape, &data[..])).map(Into::into),
        TensorData::I64(data) => TensorRef::from_array_view((shape, &data[..])).map(Into::into),
    };
    value.map_err(|error| InferenceError::Run(format!("input `{name}`: {error}")))
}

fn tensor(value: &DynValue) -> Result<Tensor, ort::Error> {
    let dims = |shape: &ort::value::Shape| shape.iter().map(|dim| *dim as usize).collect();
    let dtype = match value.dtype() {
        ValueType::Tensor { ty, .. } => Some(*ty),
        _ => None,
    };
    Ok(match dtype {
        Some(TensorElementType::Float16) => {
            let (shape, data) = value.try_extract_tensor::<f16>()?;
            Tensor { shape: dims(shape), data: TensorData::F16(data.to_vec()) }
        }
        Some(TensorElementType::Int64) => {
            let (shape, data) = value.try_extract_tensor::<i64>()?;
            Tensor { shape: dims(shape), data: TensorData::I64(data.to_vec()) }
        }
        _ => {
            let (shape, data) = value.try_extract_tensor::<f32>()?;
            Tensor { shape: dims(shape), data: TensorData::F32(data.to_vec()) }
        }
    })
}

fn port(outlet: &ort::value::Outlet) -> Port {
    let type_name = match outlet.dtype() {
        ValueType::Tensor { ty, .. } => ty.to_string(),
        other => other.to_string(),
    };
    let (dtype, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, dimension_symbols } => {
            let dtype = match ty {
                TensorElementType::Float16 => Some(TensorDtype::F16),
                TensorElementType::Float32 => Some(TensorDtype::F32),
                TensorElementType::Int64 => Some(TensorDtype::I64),
                _ => None,
            };
            let names = dimension_symbols.iter();
            let dims = shape.iter().zip(names).map(|(length, name)| {
                usize::try_from(*length).map_or_else(|_| Dim::Named(name.clone()), Dim::Fixed)
            });
            (dtype, dims.collect())
        }
        _ => (None, Vec::new()),
    };
    Port { name: outlet.name().to_owned(), dtype, type_name, shape }
}
