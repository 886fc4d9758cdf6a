//! Serves a local service to other processes.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Bytes, Data, ServiceConfig},
};
use plugrank_contract::{Call, CallError, Context};
use tracing::{Instrument, Span};

use crate::{Client, spans::CallSpan, wire};

/// How long a role keeps an idle connection: twice as long as a client does, so that none is
/// closed while a call is on its way.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Adds the route of one call. The body limit is that of the application's `PayloadConfig`.
pub fn route<C: Call>(config: &mut ServiceConfig, service: Client<C>) {
    config.service(
        web::resource(C::PATH)
            .app_data(Data::new(Endpoint { service }))
            .route(web::post().to(answer::<C>)),
    );
}

struct Endpoint<C: Call> {
    service: Client<C>,
}

async fn answer<C: Call>(
    request: HttpRequest,
    endpoint: Data<Endpoint<C>>,
    body: Bytes,
) -> HttpResponse {
    let headers = request.headers();
    let context = wire::context_from(|name| headers.get(name)?.to_str().ok());
    match context {
        Err(error) => respond::<C>(Err(error)),
        Ok(mut context) => {
            let span = CallSpan::server::<C>(&mut context);
            let reply =
                run(context, &endpoint.service, &body).instrument(span.span().clone()).await;
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
    body: &[u8],
) -> Result<C::Reply, CallError> {
    let call = wire::decode(body).map_err(|why| {
        CallError::invalid(format!(
            "the body is no {} call ({why}); are both sides of one version?",
            C::PATH
        ))
    })?;
    service.call(context, call).await
}
