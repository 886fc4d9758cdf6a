//! Spans of exchanges with the server, by OpenTelemetry's semantic conventions for Redis.

use plugrank_contract::context::TRACE_TARGET;
use plugrank_store::StoreError;
use redis::{Arg, ConnectionAddr};
use tracing::{Level, Span, field::Empty};

use crate::{RedisServers, batch::Batch};

/// The server as spans name it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: String,
    port: Option<u16>,
    /// Number of the database, as it was connected to.
    namespace: String,
}

impl Target {
    /// Of several servers the first: which of them answers is known only afterwards.
    pub(crate) fn from_servers(servers: &RedisServers) -> Result<Self, StoreError> {
        let infos = servers.parse()?;
        let none = || StoreError::Unavailable("no address of a Redis server is given".to_owned());
        let info = infos.first().ok_or_else(none)?;
        let (address, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), Some(*port)),
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), Some(*port)),
            other => (other.to_string(), None),
        };
        Ok(Self { address, port, namespace: info.redis_settings().db().to_string() })
    }
}

/// Whether this is work for a request whose spans are recorded; upkeep would bury requests.
fn traced() -> bool {
    tracing::span_enabled!(target: TRACE_TARGET, Level::INFO) && !Span::current().is_none()
}

/// A client span of a batch that is not sealed yet; none outside a trace.
pub(crate) fn of_exchange(target: &Target, batch: &Batch) -> Span {
    if !traced() {
        return Span::none();
    }
    let (operation, size) = name(batch);
    tracing::info_span!(
        target: TRACE_TARGET,
        "redis",
        otel.name = operation.as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        db.system.name = "redis",
        db.namespace = target.namespace,
        db.operation.name = operation.as_str(),
        db.operation.batch.size = size.map(|size| size as i64),
        server.address = target.address,
        server.port = target.port.map(i64::from),
        error.type = Empty,
    )
}

/// What a batch does: its command, or `PIPELINE` (`MULTI` in a transaction) followed by the command
/// when they are all the same; and how many there are when there are several.
fn name(batch: &Batch) -> (String, Option<usize>) {
    let mut commands = batch.commands().map(|command| match command.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    });
    let first = commands.next().unwrap_or_default();
    let mut size = 1;
    let alike = commands.inspect(|_| size += 1).filter(|command| *command != first).count() == 0;
    if size == 1 {
        return (first, None);
    }
    let kind = if batch.is_transaction() { "MULTI" } else { "PIPELINE" };
    let name = if alike && !first.is_empty() { format!("{kind} {first}") } else { kind.to_owned() };
    (name, Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::Kind, keys::Keys};

    #[test]
    fn operations_are_named_by_their_commands() {
        let keys = Keys::new("test");
        let named = |kind, commands: &[&str]| {
            let mut batch = Batch::new(kind, false);
            for command in commands {
                batch.push(&keys.schema(), redis::cmd(command));
            }
            name(&batch)
        };
        assert_eq!(named(Kind::Plain, &["GET"]), ("GET".to_owned(), None));
        let two = ("PIPELINE GET".to_owned(), Some(2));
        assert_eq!(named(Kind::Durable, &["GET", "GET"]), two);
        let mixed = ("MULTI".to_owned(), Some(2));
        assert_eq!(named(Kind::Transaction, &["SET", "DEL"]), mixed);
    }
}
