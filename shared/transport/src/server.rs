//! Serves a local service to other processes.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ALLOW},
    web::{self, Data, Payload, ServiceConfig},
};
use plugrank_body::{Body, BodyError, BodyMemory, BodyReader, Encodings, NoRoom};
use plugrank_contract::{Call, CallError, Context};
use tracing::{Instrument, Span};

use crate::{
    Client,
    decode::{Undecoded, decode},
    spans::CallSpan,
    wire,
};

/// How long a role keeps an idle connection: twice as long as a client does, so that none is
/// closed while a call is on its way.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Largest call another role may send, in bytes: 100,000 items at their longest ids.
const MAX_CALL_BYTES: usize = 64 << 20;

/// How the bodies of calls are read: part of the `app_data` of an application that serves any. A
/// caller may take `time` to send a small one.
#[must_use]
pub fn body_reader(time: Duration, memory: BodyMemory) -> BodyReader {
    let encodings = Encodings::Identity;
    BodyReader { max_bytes: MAX_CALL_BYTES, time, weight: 1, encodings, memory }
}

/// Adds the route of one call. Its body is read by the application's [`body_reader`].
pub fn route<C: Call>(config: &mut ServiceConfig, service: Client<C>) {
    config.service(
        web::resource(C::PATH)
            .app_data(Data::new(Endpoint { service }))
            .route(web::post().to(answer::<C>))
            .default_service(web::to(|| async {
                HttpResponse::MethodNotAllowed().insert_header((ALLOW, "POST")).finish()
            })),
    );
}

struct Endpoint<C: Call> {
    service: Client<C>,
}

async fn answer<C: Call>(
    request: HttpRequest,
    endpoint: Data<Endpoint<C>>,
    payload: Payload,
) -> HttpResponse {
    let headers = request.headers();
    let context = wire::context_from(|name| headers.get(name)?.to_str().ok());
    match context {
        Err(error) => respond::<C>(Err(error)),
        Ok(mut context) => {
            let span = CallSpan::server::<C>(&mut context);
            let reply = run(context, &endpoint.service, &request, payload);
            let reply = reply.instrument(span.span().clone()).await;
            let error = reply.as_ref().err();
            span.status(error.map_or(200, |error| wire::status(error.code)));
            span.ended(error);
            respond::<C>(reply)
        }
    }
}

/// Answers a call that came in the form of another protocol, `context` read from it.
///
/// # Errors
/// Those of the service.
pub async fn answer_for<C: Call>(
    mut context: Context,
    service: &Client<C>,
    call: C,
) -> Result<C::Reply, CallError> {
    // Where the server has a span of its own for every request, this is part of it.
    if !Span::current().is_none() {
        return service.call(context, call).await;
    }
    let span = CallSpan::server::<C>(&mut context);
    let reply = service.call(context, call).instrument(span.span().clone()).await;
    let error = reply.as_ref().err();
    span.status(error.map_or(200, |error| wire::status(error.code)));
    span.ended(error);
    reply
}

fn respond<C: Call>(reply: Result<C::Reply, CallError>) -> HttpResponse {
    let (status, body) = match reply.and_then(|reply| wire::encode(&Ok::<_, CallError>(reply))) {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(wire::status(error.code))
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, wire::encode(&Err::<C::Reply, _>(error)).unwrap_or_default())
        }
    };
    HttpResponse::build(status).content_type(wire::MEDIA_TYPE).body(body)
}

async fn run<C: Call>(
    context: Context,
    service: &Client<C>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<C::Reply, CallError> {
    let reader = request.app_data::<BodyReader>();
    let reader = reader.ok_or_else(|| CallError::internal("this server reads no bodies"))?;
    let body = reader.read(request, payload.into_inner()).await.map_err(unread)?;
    let Body { bytes, mut held } = body;
    let call = decode(&bytes, &mut held).map_err(|error| match error {
        Undecoded::Wrong(why) => CallError::invalid(format!(
            "the body is no {} call ({why}); are both sides of one version?",
            C::PATH
        )),
        Undecoded::TooMuch => CallError::invalid(format!(
            "the {} call takes too much memory; send fewer ids at a time",
            C::PATH
        )),
        Undecoded::NoRoom(full) => no_room(full),
    })?;
    drop(bytes);
    service.call(context, call).await
}

fn unread(error: BodyError) -> CallError {
    match error {
        BodyError::NoRoom(full) => no_room(full),
        BodyError::Encoding(_) => CallError::invalid(format!("{error}; send it as it is")),
        BodyError::TooLarge { .. } | BodyError::TooSlow(_) | BodyError::Broken(_) => {
            CallError::invalid(error.to_string())
        }
    }
}

fn no_room(full: NoRoom) -> CallError {
    CallError::overloaded(full.to_string())
}
