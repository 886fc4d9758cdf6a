//! `POST /v2/models/{name}/infer`.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Data, Path, Payload},
};
use plugrank_body::Body;
use plugrank_contract::{CallError, Context, NamedTensor, scoring::Infer};
use plugrank_transport::{server::answer_for, wire};
use serde_json::Value;

use super::{
    Model, Named, Served, ServedNow,
    refusal::Refusal,
    schemas::{InferError, InferRequest, InferResponse},
};
use crate::{
    HEADER_LENGTH,
    message::{self, Parameters, Request, Wanted},
};

/// Bodies above this are read on a thread of their own: a server's thread has others to answer.
const LARGE: usize = 64 << 10;

/// A request that was read.
struct Asked {
    id: Option<String>,
    timeout: Option<Duration>,
    inputs: Vec<NamedTensor>,
    outputs: Vec<Wanted>,
    /// Whether outputs are binary where their own parameters do not say.
    binary: bool,
}

/// Run a graph on tensors
#[utoipa::path(
    post,
    path = "/v2/models/{name}/infer",
    tag = "open inference",
    operation_id = "openInferenceInfer",
    params(("name" = String, Path, description = "The model: `unified` or `idrec`")),
    request_body(content = InferRequest),
    responses(
        (status = 200, body = InferResponse, description = "The outputs"),
        (status = 400, body = InferError, description = "A wrong name, shape, datatype or parameter, named"),
        (status = 404, body = InferError, description = "There is no such model or version"),
        (status = 408, body = InferError, description = "The body did not come in time"),
        (status = 413, body = InferError, description = "The body is larger than open_inference.max_body_bytes"),
        (status = 415, body = InferError, description = "The body is compressed in a way that is not read here"),
        (status = 429, body = InferError, description = "No room, or no time at the present backlog"),
        (status = 503, body = InferError, description = "What runs the graph is not there"),
        (status = 504, body = InferError, description = "It did not run in time"),
    ),
)]
pub(super) async fn infer(
    request: HttpRequest,
    now: Data<ServedNow>,
    path: Path<Named>,
    payload: Payload,
) -> Result<HttpResponse, Refusal> {
    let served = now.get()?;
    let model = served.model(&path.name, path.version.as_deref())?;
    let header_length = header_length(&request)?;
    // Before the body is read: reading costs memory, and the time of those who are served.
    let _admitted = served.0.admission.try_acquire().map_err(|_| full(&served))?;
    let body = served.0.bodies.read(&request, payload.into_inner()).await?;
    let Body { bytes, held: _held } = body;
    let asked = if bytes.len() <= LARGE {
        read(&bytes, header_length)
    } else {
        let read = web::block(move || read(&bytes, header_length)).await;
        read.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
    }?;
    let outputs = chosen(model, &asked)?;

    let mut context = Context::background();
    wire::adopt_trace(&mut context, |name| request.headers().get(name)?.to_str().ok());
    if let Some(timeout) = asked.timeout {
        context = context.within(timeout);
    }
    let call = Infer { model: model.kind, inputs: asked.inputs };
    let inferred = answer_for(context, &served.0.infer, call).await?;
    let mut written = Vec::with_capacity(outputs.len());
    for (name, binary) in outputs {
        let output = inferred.outputs.iter().find(|output| output.name == name);
        let missing = || format!("the graph did not answer its output `{name}`");
        let output =
            output.ok_or_else(|| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, missing()))?;
        written.push((output, binary));
    }
    let version = model.metadata.versions.first().map_or("", String::as_str);
    let names = (model.metadata.name.as_str(), version);
    let body = message::response(names, asked.id.as_deref(), &written).map_err(|why| {
        let why = format!("{why}; ask for the output with binary_data");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why)
    })?;
    Ok(respond(body))
}

fn respond(message::Body { bytes, header_length }: message::Body) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    match header_length {
        None => response.content_type("application/json"),
        Some(length) => response
            .content_type("application/octet-stream")
            .insert_header((HEADER_LENGTH, length.to_string())),
    };
    response.body(bytes)
}

fn full(served: &Served) -> Refusal {
    let most = served.0.max_in_flight;
    let message =
        format!("{most} requests are in flight, as many as may be (scoring.max_in_flight)");
    CallError::overloaded(message).retry_after(Duration::from_secs(1)).into()
}

fn header_length(request: &HttpRequest) -> Result<Option<usize>, Refusal> {
    let Some(value) = request.headers().get(HEADER_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || Refusal::wrong("header Inference-Header-Content-Length must be a number");
    length.map(Some).ok_or_else(wrong)
}

fn read(body: &[u8], header_length: Option<usize>) -> Result<Asked, Refusal> {
    let (request, rest) = message::head::<Request>(body, header_length).map_err(Refusal::wrong)?;
    let Request { id, parameters, inputs, outputs } = request;
    refuse_sequences(&parameters)?;
    let inputs = message::tensors(inputs, rest).map_err(Refusal::wrong)?;
    let binary = flag(&parameters, "parameters", "binary_data_output")?.unwrap_or(false);
    Ok(Asked { id, timeout: timeout(&parameters)?, inputs, outputs, binary })
}

/// What would change the answer's meaning if it were ignored.
fn refuse_sequences(parameters: &Parameters) -> Result<(), Refusal> {
    for name in ["sequence_id", "sequence_start", "sequence_end", "priority"] {
        let given = parameters.get(name);
        let idle = [Value::from(0), Value::from(false), Value::from("")];
        if given.is_some_and(|value| !idle.contains(value)) {
            return Err(Refusal::wrong(format!(
                "parameters.{name}: graphs here keep no state between requests and know no \
                 priorities; leave it out"
            )));
        }
    }
    Ok(())
}

fn timeout(parameters: &Parameters) -> Result<Option<Duration>, Refusal> {
    let Some(value) = parameters.get("timeout") else { return Ok(None) };
    match value.as_u64() {
        Some(0) => Ok(None),
        Some(micros) => Ok(Some(Duration::from_micros(micros))),
        None => Err(Refusal::wrong("parameters.timeout must be a number of microseconds")),
    }
}

fn flag(parameters: &Parameters, at: &str, name: &str) -> Result<Option<bool>, Refusal> {
    let Some(value) = parameters.get(name) else { return Ok(None) };
    let wrong = || Refusal::wrong(format!("{at}.{name} must be true or false"));
    value.as_bool().map(Some).ok_or_else(wrong)
}

/// The outputs to answer, and whether each is binary: those asked for, or all.
fn chosen(model: &Model, asked: &Asked) -> Result<Vec<(String, bool)>, Refusal> {
    let known = &model.metadata.outputs;
    if asked.outputs.is_empty() {
        return Ok(known.iter().map(|output| (output.name.clone(), asked.binary)).collect());
    }
    let one = |(at, wanted): (usize, &Wanted)| {
        // Each would be a copy of its own in the answer.
        if asked.outputs[..at].iter().any(|before| before.name == wanted.name) {
            return Err(Refusal::wrong(format!(
                "outputs[{at}]: output `{}` is asked for twice; once is enough",
                wanted.name
            )));
        }
        if known.iter().all(|output| output.name != wanted.name) {
            let names: Vec<&str> = known.iter().map(|output| output.name.as_str()).collect();
            return Err(Refusal::wrong(format!(
                "output `{}` is none of the model's, which answers {}",
                wanted.name,
                names.join(", ")
            )));
        }
        let refused = ["classification", "shared_memory_region"];
        if let Some(refused) = refused.iter().find(|key| wanted.parameters.contains_key(**key)) {
            return Err(Refusal::wrong(format!(
                "output `{}`: parameter {refused} is not offered",
                wanted.name
            )));
        }
        let at = format!("outputs[{at}].parameters");
        let binary = flag(&wanted.parameters, &at, "binary_data")?.unwrap_or(asked.binary);
        Ok((wanted.name.clone(), binary))
    };
    asked.outputs.iter().enumerate().map(one).collect()
}
