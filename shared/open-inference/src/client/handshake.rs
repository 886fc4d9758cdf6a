//! Whether the server runs the bundle's graph.

use std::sync::{Arc, mpsc};

use plugrank_bundle::{Bundle, GraphName, TensorDtype};
use plugrank_contract::{CallError, Deadline, ErrorCode, NamedTensor};
use plugrank_inference::{
    InferenceError, RemoteGraph, Tensor, TensorData, VerifyError, verify_remote,
};
use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use super::link::{Abilities, Link, outputs};
use crate::check::check;

/// Why the model cannot be used now.
#[derive(Clone, Debug)]
pub(super) enum HandshakeError {
    /// The server is not there, or not ready.
    Away(String),
    /// It does not know the model, or does not take what it is sent.
    Refused(String),
    /// It runs something else.
    Other(String),
}

impl HandshakeError {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Away(message) | Self::Refused(message) | Self::Other(message) => message,
        }
    }
}

impl From<CallError> for HandshakeError {
    fn from(error: CallError) -> Self {
        match error.code {
            ErrorCode::InvalidArgument => Self::Refused(error.message),
            _ => Self::Away(error.message),
        }
    }
}

/// The bundle's graph, run by the server.
#[derive(Clone)]
pub(super) struct Graph {
    pub(super) link: Arc<Link>,
    pub(super) bundle: Arc<Bundle>,
    pub(super) graph: GraphName,
    /// Where requests run.
    pub(super) runtime: Handle,
}

impl Graph {
    /// Asks the server what it can do, holds its model's metadata against the graph, and has it
    /// run the bundle's reference rows: another version of the model may have the same border.
    pub(super) async fn handshake(&self) -> Result<Abilities, HandshakeError> {
        let speaks = Abilities::from_metadata(&self.link.server_metadata().await?);
        let found = self.link.model_metadata().await?;
        if let Some(spec) = self.bundle.graph(self.graph) {
            check(spec, &found).map_err(HandshakeError::Other)?;
        }
        let met = Met { graph: self.clone(), speaks };
        let ran = tokio::task::spawn_blocking(move || {
            verify_remote(&met.graph.bundle, met.graph.graph, &met)
        });
        match ran.await {
            Ok(Ok(_)) => Ok(speaks),
            Ok(Err(VerifyError::Inference(error))) => Err(HandshakeError::Away(error.to_string())),
            Ok(Err(error)) => Err(HandshakeError::Other(self.another(&error))),
            Err(error) => {
                Err(HandshakeError::Away(format!("the reference rows were not run: {error}")))
            }
        }
    }

    fn another(&self, error: &VerifyError) -> String {
        let version = self.bundle.version();
        let deploy = format!("deploy the graph `{}` of bundle {version} there", self.graph);
        match error {
            VerifyError::Difference { output, row, got, expected, max_difference, .. } => format!(
                "of the bundle's reference rows, row {row} of output `{output}` is {got} there and \
                 {expected} in the bundle (largest difference {max_difference:.1e}); {deploy}"
            ),
            VerifyError::Border { message, .. } => format!("{message}; {deploy}"),
            error => error.to_string(),
        }
    }

    /// Runs the graph, and waits on this thread, which must be none of the runtime's.
    pub(super) fn run(
        &self,
        speaks: Abilities,
        inputs: &[(&str, &Tensor)],
        deadline: Deadline,
    ) -> Result<Vec<Tensor>, CallError> {
        let inputs: Vec<NamedTensor> = inputs.iter().map(|(name, x)| named(name, x)).collect();
        let run = self.link.write(&inputs, speaks, deadline).map_err(CallError::internal)?;
        let (say, told) = mpsc::sync_channel(1);
        let link = Arc::clone(&self.link);
        let running = async move {
            let ran = link.run(run).await;
            // A caller that has gone in the meantime misses nothing.
            let _ = say.send(ran);
        };
        self.runtime.spawn(running.instrument(Span::current()));
        let stopped = |_| CallError::unavailable("the process stops");
        let reply = told.recv().map_err(stopped)??;
        let outputs = outputs(&reply).map_err(CallError::invalid)?;
        self.in_order(outputs).map_err(CallError::invalid)
    }

    fn in_order(&self, mut outputs: Vec<NamedTensor>) -> Result<Vec<Tensor>, String> {
        let wanted = self.bundle.graph(self.graph).map_or(&[][..], |spec| &spec.outputs);
        let one = |name: &String| {
            let place = outputs.iter().position(|output| output.name == *name);
            let place = place.ok_or_else(|| format!("the answer has no output `{name}`"))?;
            let NamedTensor { dtype, shape, data, .. } = outputs.swap_remove(place);
            let data = TensorData::from_le_bytes(dtype, &data);
            Ok(Tensor { shape, data: data.unwrap_or(empty(dtype)) })
        };
        wanted.iter().map(|output| &output.name).map(one).collect()
    }
}

fn empty(dtype: TensorDtype) -> TensorData {
    match dtype {
        TensorDtype::F16 => TensorData::F16(Vec::new()),
        TensorDtype::F32 => TensorData::F32(Vec::new()),
        TensorDtype::I64 => TensorData::I64(Vec::new()),
    }
}

fn named(name: &str, tensor: &Tensor) -> NamedTensor {
    NamedTensor {
        name: name.to_owned(),
        dtype: tensor.data.dtype(),
        shape: tensor.shape.clone(),
        data: tensor.data.to_le_bytes(),
    }
}

/// The graph on a server of which it is known what it can do.
struct Met {
    graph: Graph,
    speaks: Abilities,
}

impl RemoteGraph for Met {
    fn available(&self) -> Result<(), InferenceError> {
        Ok(())
    }

    fn run(
        &self,
        inputs: &[(&str, &Tensor)],
        deadline: Deadline,
    ) -> Result<Vec<Tensor>, InferenceError> {
        let ran = self.graph.run(self.speaks, inputs, deadline);
        ran.map_err(|error| InferenceError::Remote(error.message))
    }
}
