//! One call to one endpoint over HTTP.

use std::marker::PhantomData;

use bytes::Bytes;
use hyper::{Method, StatusCode, header::CONTENT_TYPE};
use plugrank_access::RoleToken;
use plugrank_contract::{Call, CallError, Context, ErrorCode};
use tracing::Instrument;

use super::{
    address::Target,
    endpoint::Verdict,
    http::{HttpClient, HttpError},
};
use crate::{spans::CallSpan, wire};

/// A request in the form of its protocol, which may be sent to any endpoint.
pub(crate) trait Request: Sync {
    /// What is answered.
    type Reply: Send;
    /// Names requests of one kind, whose times are alike.
    fn kind(&self) -> &'static str;
    /// Whether a second, identical request does no harm.
    fn harmless(&self) -> bool;
    /// Sends it and reads the reply. Ends by itself only with an answer: the caller keeps time.
    fn exchange(
        &self,
        client: &HttpClient,
        target: &Target,
    ) -> impl Future<Output = Answer<Self::Reply>> + Send;
}

/// A call to a service of ours.
pub(crate) struct Rpc<'a, C> {
    pub(crate) context: &'a Context,
    pub(crate) token: Option<&'a RoleToken>,
    pub(crate) body: Bytes,
    pub(crate) of: PhantomData<fn() -> C>,
}

impl<C: Call> Request for Rpc<'_, C> {
    type Reply = C::Reply;

    fn kind(&self) -> &'static str {
        C::PATH
    }

    fn harmless(&self) -> bool {
        C::IDEMPOTENT
    }

    async fn exchange(&self, client: &HttpClient, target: &Target) -> Answer<C::Reply> {
        exchange::<C>((client, self.token), target, self.context, self.body.clone()).await
    }
}

/// The outcome.
pub(crate) struct Answer<R> {
    pub(crate) value: Result<R, CallError>,
    pub(crate) verdict: Verdict,
    pub(crate) again: Again,
}

/// Whether the call may be sent again, as far as this answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would be answered alike, or there is no time left.
    No,
    /// Only by an endpoint that was not asked yet, for every call: this one did nothing.
    Elsewhere,
    /// When a second, identical call does no harm.
    IfHarmless,
    /// Every call: it did not get there.
    Anyway,
}

/// Sends a call and reads the reply. Ends by itself only with an answer: the caller keeps time.
pub(crate) async fn exchange<C: Call>(
    (client, token): (&HttpClient, Option<&RoleToken>),
    target: &Target,
    context: &Context,
    body: Bytes,
) -> Answer<C::Reply> {
    let mut context = context.clone();
    let (host, port) = (target.socket.ip().to_string(), target.socket.port());
    let span = CallSpan::client::<C>(&host, Some(port), &mut context);
    let sent = send::<C>((client, token), target, &context, body, &span);
    let answer = match sent.instrument(span.span().clone()).await {
        Ok(value) => {
            let (verdict, again) = judge(value.as_ref().err().map(|error| error.code));
            Answer { value, verdict, again }
        }
        Err((error, again)) => Answer { value: Err(error), verdict: Verdict::Gone, again },
    };
    span.ended(answer.value.as_ref().err());
    answer
}

fn judge(error: Option<ErrorCode>) -> (Verdict, Again) {
    match error {
        None | Some(ErrorCode::InvalidArgument | ErrorCode::NotFound) => (Verdict::Well, Again::No),
        Some(ErrorCode::Overloaded) => (Verdict::Busy, Again::Elsewhere),
        // It did nothing, and is well: another process may have the model.
        Some(ErrorCode::NoModel) => (Verdict::Well, Again::Elsewhere),
        Some(ErrorCode::DeadlineExceeded) => (Verdict::Busy, Again::No),
        Some(ErrorCode::Unavailable) => (Verdict::Struggling, Again::IfHarmless),
        // A defect, or a model that is broken, meets the same call again wherever it is sent.
        Some(ErrorCode::Internal | ErrorCode::NotFinite) => (Verdict::Struggling, Again::No),
    }
}

pub(crate) type Failure = (CallError, Again);

async fn send<C: Call>(
    (client, token): (&HttpClient, Option<&RoleToken>),
    target: &Target,
    context: &Context,
    body: Bytes,
    span: &CallSpan,
) -> Result<Result<C::Reply, CallError>, Failure> {
    let mut headers = wire::context_headers(context);
    headers.push(("content-type", wire::MEDIA_TYPE.to_owned()));
    headers.extend(token.map(|token| ("authorization", token.header())));
    let broken = |error| failed(target, error);
    let sent = client.send(Method::POST, target, C::PATH, headers, body).await;
    let response = sent.map_err(broken)?;
    let status = response.status;
    span.status(status.as_u16());
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let what = format!(
            "{} does not take our token or certificate (peers.token_file, peers.tls)",
            target.base_url()
        );
        return Err((CallError::unavailable(what), Again::IfHarmless));
    }
    let media_type = response.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    if media_type != Some(wire::MEDIA_TYPE.as_bytes()) {
        let error = CallError::unavailable(format!(
            "{} answered {status} and no reply to {}; is it a Plugrank service of this version?",
            target.base_url(),
            C::PATH
        ));
        return Err((error, Again::IfHarmless));
    }
    let body = response.bytes().await.map_err(broken)?;
    wire::decode(&body).map_err(|why| {
        let what = format!("the reply to {} cannot be read: {why}", C::PATH);
        (CallError::internal(what), Again::No)
    })
}

pub(crate) fn failed(target: &Target, error: HttpError) -> Failure {
    let base_url = target.base_url();
    match error {
        HttpError::Connect(why) => {
            let message = format!("{base_url} cannot be reached: {why}");
            (CallError::unavailable(message), Again::Anyway)
        }
        HttpError::Broken(why) => {
            (CallError::unavailable(format!("{base_url} broke off: {why}")), Again::IfHarmless)
        }
    }
}
