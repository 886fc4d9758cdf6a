//! One model's paths on a server.

use std::time::Duration;

use bytes::Bytes;
use plugrank_contract::{CallError, Context, Deadline, NamedTensor};
use plugrank_inference::ModelServerOptions;
use plugrank_transport::{
    ExternalHttp, ExternalReply, ExternalRequest, PeerOptions, RemoteOptions,
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{
    BINARY, HEADER_LENGTH, ModelMetadata, ServerMetadata, TIMEOUTS,
    message::{self, Body, Parameters, Response},
};

/// What a server can do beyond the protocol's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Tensors behind the JSON.
    pub(super) binary: bool,
    /// The request parameter `timeout`.
    pub(super) timeouts: bool,
}

impl Abilities {
    pub(super) fn from_metadata(server: &ServerMetadata) -> Self {
        Self { binary: server.can(BINARY), timeouts: server.can(TIMEOUTS) }
    }
}

/// A request to run the model, written.
pub(super) struct InferCall {
    body: Body,
    deadline: Deadline,
}

/// One model's paths on a server.
pub(super) struct Link {
    pub(super) server: ExternalHttp,
    model: String,
    timeout: Duration,
}

impl Link {
    pub(super) fn new(
        options: &ModelServerOptions,
        peers: &PeerOptions,
    ) -> Result<Self, CallError> {
        let mut model = format!("/v2/models/{}", options.model);
        if let Some(version) = &options.version {
            model = format!("{model}/versions/{version}");
        }
        let remote = RemoteOptions {
            name: "open_inference",
            base_urls: options.url.clone(),
            peers: peers.clone(),
            token: None,
        };
        let server = ExternalHttp::new(&remote, format!("{model}/ready"))?;
        Ok(Self { server, model, timeout: Duration::from_millis(options.timeout_ms) })
    }

    pub(super) async fn server_metadata(&self) -> Result<ServerMetadata, CallError> {
        self.get("open_inference/server", "/v2".to_owned()).await
    }

    pub(super) async fn model_metadata(&self) -> Result<ModelMetadata, CallError> {
        self.get("open_inference/model", self.model.clone()).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        name: &'static str,
        path: String,
    ) -> Result<T, CallError> {
        let request = ExternalRequest { name, path: path.clone(), headers: Vec::new(), body: None };
        let context = Context::background().within(self.timeout);
        let reply = understood(&path, self.server.send(&context, request).await?)?;
        serde_json::from_slice(&reply.body).map_err(|error| {
            let what = format!("the answer to GET {path} is not the protocol's: {error}");
            CallError::unavailable(what)
        })
    }

    /// Writes a request that is of use until `deadline`.
    pub(super) fn write(
        &self,
        inputs: &[NamedTensor],
        speaks: Abilities,
        deadline: Deadline,
    ) -> Result<InferCall, String> {
        let latest = Instant::now() + self.timeout;
        let latest = deadline.moment().map_or(latest, |deadline| deadline.min(latest));
        let mut parameters = Parameters::new();
        if speaks.binary {
            parameters.insert("binary_data_output".to_owned(), true.into());
        }
        if speaks.timeouts {
            let left = latest.saturating_duration_since(Instant::now()).as_micros();
            let left = u64::try_from(left).unwrap_or(u64::MAX).max(1);
            parameters.insert("timeout".to_owned(), left.into());
        }
        let inputs: Vec<_> = inputs.iter().map(|tensor| (tensor, speaks.binary)).collect();
        let id = Context::background().request_id.to_string();
        Ok(InferCall {
            body: message::request(&id, parameters, &inputs)?,
            deadline: Deadline::at(latest),
        })
    }

    pub(super) async fn run(&self, run: InferCall) -> Result<ExternalReply, CallError> {
        let InferCall { body: Body { bytes, header_length }, deadline } = run;
        let mut headers = Vec::with_capacity(2);
        headers.push(match header_length {
            None => ("content-type", "application/json".to_owned()),
            Some(_) => ("content-type", "application/octet-stream".to_owned()),
        });
        headers.extend(header_length.map(|length| (HEADER_LENGTH, length.to_string())));
        let path = format!("{}/infer", self.model);
        let body = Some(Bytes::from(bytes));
        let name = "open_inference/infer";
        let request = ExternalRequest { name, path: path.clone(), headers, body };
        let context = Context { deadline, ..Context::background() };
        understood(&path, self.server.send(&context, request).await?)
    }
}

/// Reads the outputs of a run.
pub(super) fn outputs(reply: &ExternalReply) -> Result<Vec<NamedTensor>, String> {
    let length = match reply.headers.get(HEADER_LENGTH) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| format!("{HEADER_LENGTH}: {text}"))?),
    };
    let (response, rest) = message::head::<Response>(&reply.body, length)?;
    message::tensors(response.outputs, rest)
}

fn understood(path: &str, reply: ExternalReply) -> Result<ExternalReply, CallError> {
    if (200..300).contains(&reply.status) {
        return Ok(reply);
    }
    let text = String::from_utf8_lossy(&reply.body);
    let text: String = text.trim().chars().take(300).collect();
    Err(CallError::invalid(format!("{path} was answered {}: {text}", reply.status)))
}
