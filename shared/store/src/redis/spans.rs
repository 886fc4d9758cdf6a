//! Spans of exchanges with the server, by OpenTelemetry's semantic conventions for Redis.

use std::borrow::Cow;

use deadpool_redis::redis::{Arg, ConnectionAddr, ConnectionInfo, Pipeline};
use plugrank_contract::context::TRACE_TARGET;
use tracing::{Level, Span, field::Empty};

/// The server as spans name it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    address: String,
    port: Option<u16>,
    /// Number of the database, as it was connected to.
    namespace: String,
}

impl Target {
    pub(super) fn of(info: &ConnectionInfo) -> Self {
        let (address, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), Some(*port)),
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), Some(*port)),
            other => (other.to_string(), None),
        };
        Self { address, port, namespace: info.redis_settings().db().to_string() }
    }
}

/// Whether this is work for a request whose spans somebody records; upkeep would bury requests.
fn traced() -> bool {
    tracing::span_enabled!(target: TRACE_TARGET, Level::INFO) && !Span::current().is_none()
}

/// A client span; none outside a trace.
pub(super) fn of_exchange(target: &Target, operation: &str, size: Option<usize>) -> Span {
    if !traced() {
        return Span::none();
    }
    tracing::info_span!(
        target: TRACE_TARGET,
        "redis",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        db.system.name = "redis",
        db.namespace = target.namespace,
        db.operation.name = operation,
        db.operation.batch.size = size.map(|size| size as i64),
        server.address = target.address,
        server.port = target.port.map(i64::from),
        error.type = Empty,
    )
}

/// What a pipeline does: its command, or `PIPELINE` (`MULTI` in a transaction) followed by the
/// command when they are all the same; and how many there are when there are several.
pub(super) fn name(pipeline: &Pipeline) -> (Cow<'static, str>, Option<usize>) {
    if !traced() {
        return ("".into(), None);
    }
    let mut commands = pipeline.cmd_iter().map(|command| match command.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    });
    let first = commands.next().unwrap_or_default();
    if pipeline.len() == 1 {
        return (first.into(), None);
    }
    let kind = if pipeline.is_transaction() { "MULTI" } else { "PIPELINE" };
    let name = if commands.all(|command| command == first) && !first.is_empty() {
        format!("{kind} {first}").into()
    } else {
        kind.into()
    };
    (name, Some(pipeline.len()))
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis;

    use super::*;

    #[test]
    fn operations_are_named_by_their_commands() {
        // Names are made within a span only.
        let subscriber = tracing_subscriber::registry();
        tracing::subscriber::with_default(subscriber, || {
            let _inside = tracing::info_span!("request").entered();
            let named = |pipeline: &Pipeline| {
                let (name, size) = name(pipeline);
                (name.into_owned(), size)
            };
            assert_eq!(named(redis::pipe().get("a")), ("GET".to_owned(), None));
            let two = ("PIPELINE GET".to_owned(), Some(2));
            assert_eq!(named(redis::pipe().get("a").get("b")), two);
            let mixed = ("MULTI".to_owned(), Some(2));
            assert_eq!(named(redis::pipe().atomic().set("a", 1).del("b")), mixed);
        });
        assert_eq!(name(redis::pipe().get("a")).0, "");
    }
}
