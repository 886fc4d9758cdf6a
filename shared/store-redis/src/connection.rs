//! The pool of connections, timeouts, and what Redis's errors mean to the store's callers.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use deadpool::managed::{Object, Pool, PoolError, Timeouts};
use plugrank_settings::RedisConnection;
use plugrank_store::StoreError;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Value};
use tracing::Instrument;

use crate::{
    RedisServers,
    batch::{Batch, Kind},
    keys::Key,
    manager::Manager,
    spans::{Target, of_exchange},
};

/// Keys in one command; a server answers no other connection while it works on one.
const COMMAND_KEYS: usize = 1000;

/// A bounded pool of connections to the servers of one store.
#[derive(Clone)]
pub(crate) struct Server {
    pool: Pool<Manager>,
    /// Hosts and ports, without credentials.
    addresses: Arc<str>,
    /// The first of them, for spans.
    target: Target,
    call_timeout: Duration,
    replicas: usize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// Prepares the pool; connects with the first call.
    pub(crate) fn new(to: &RedisConnection, replicas: usize) -> Result<Self, StoreError> {
        let servers = RedisServers::new(to)?;
        let manager = Manager::new(&servers, to)?;
        let timeout = Some(to.timeout());
        let pool = Pool::builder(manager)
            .max_size(to.pool.max(1))
            .timeouts(Timeouts { wait: timeout, create: timeout, recycle: timeout })
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(format!("Redis pool: {error}")))?;
        Ok(Self {
            pool,
            addresses: servers.addresses().into(),
            target: Target::from_servers(&servers)?,
            call_timeout: to.timeout(),
            replicas,
        })
    }

    pub(crate) fn manager(&self) -> &Manager {
        self.pool.manager()
    }

    pub(crate) fn batch(&self, kind: Kind) -> Batch {
        Batch::new(kind, self.manager().has_slots())
    }

    /// Sends a batch; the replies of its commands, in their order.
    ///
    /// Sends it anew over a fresh connection when the first one turns out to be lost: every write
    /// may be repeated.
    pub(crate) async fn send<T: FromRedisValue>(
        &self,
        mut batch: Batch,
    ) -> Result<Vec<T>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let span = of_exchange(&self.target, &batch);
        let wait = (self.call_timeout / 2).as_millis() as u64;
        batch.seal(self.replicas, wait.max(1));
        let whole = async {
            let first = self.exchange(&batch).await;
            match first {
                Err(Failure::Lost(_)) => self.exchange(&batch).await,
                other => other,
            }
        };
        let replies = self.in_time(whole).instrument(span.clone()).await;
        if let Err(error) = &replies {
            span.record("error.type", error_type(error));
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", error.to_string());
        }
        replies?
            .into_iter()
            .map(redis::from_redis_value)
            .collect::<Result<_, _>>()
            .map_err(|error| self.failed(&error.into()))
    }

    /// Addresses of a cluster's masters, sorted; none where there is no cluster.
    pub(crate) async fn masters(&self) -> Result<Vec<(String, u16)>, StoreError> {
        if !self.manager().has_slots() {
            return Ok(Vec::new());
        }
        let asked = async { self.link().await?.masters().await.map_err(Failure::Refused) };
        self.in_time(asked).await
    }

    /// Asks one server, of a cluster the one at an address, something about itself.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        node: Option<&(String, u16)>,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let asked = async {
            let mut link = self.link().await?;
            link.ask(node, command).await.map_err(Failure::Refused)
        };
        let reply = self.in_time(asked).await?;
        redis::from_redis_value(reply).map_err(|error| self.failed(&error.into()))
    }

    /// Sends one command.
    pub(crate) async fn command<T: FromRedisValue>(
        &self,
        key: &Key,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let mut batch = self.batch(Kind::Plain);
        batch.push(key, command);
        let reply = self.send(batch).await?.pop();
        reply.ok_or_else(|| self.unavailable(&"no reply"))
    }

    /// Values of string keys, same order, in one exchange: one command a slot.
    pub(crate) async fn mget(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let groups = self.by_slot(keys);
        let mut batch = self.batch(Kind::Plain);
        for group in &groups {
            let mut command = redis::cmd("MGET");
            for at in group {
                command.arg(&keys[*at]);
            }
            batch.push(&keys[group[0]], command);
        }
        let found: Vec<Vec<Option<Vec<u8>>>> = self.send(batch).await?;
        let mut values = vec![None; keys.len()];
        for (at, value) in groups.into_iter().flatten().zip(found.into_iter().flatten()) {
            values[at] = value;
        }
        Ok(values)
    }

    /// Adds the writing of string keys: one command a slot, not one a key, which is several times
    /// as fast.
    pub(crate) fn mset(&self, batch: &mut Batch, keys: &[Key], values: &[Vec<u8>]) {
        for group in self.by_slot(keys) {
            let mut command = redis::cmd("MSET");
            for at in &group {
                command.arg(&keys[*at]).arg(&values[*at]);
            }
            batch.push(&keys[group[0]], command);
        }
    }

    /// Adds the removal of keys, one command a slot.
    pub(crate) fn del(&self, batch: &mut Batch, keys: &[Key]) {
        for group in self.by_slot(keys) {
            let mut command = redis::cmd("DEL");
            for at in &group {
                command.arg(&keys[*at]);
            }
            batch.push(&keys[group[0]], command);
        }
    }

    /// Places of keys, those of a slot together, at most [`COMMAND_KEYS`] of them.
    fn by_slot(&self, keys: &[Key]) -> Vec<Vec<usize>> {
        let has_slots = self.manager().has_slots();
        let slot = |key: &Key| if has_slots { key.slot() } else { 0 };
        let mut places: Vec<(u16, usize)> = keys.iter().map(slot).zip(0..).collect();
        places.sort_unstable();
        let slots = places.chunk_by(|a, b| a.0 == b.0);
        let groups = slots.flat_map(|slot| slot.chunks(COMMAND_KEYS));
        groups.map(|group| group.iter().map(|(_, at)| *at).collect()).collect()
    }

    async fn link(&self) -> Result<Object<Manager>, Failure> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Failure::Refused(error),
            PoolError::Timeout(_) => Failure::NoConnection,
            other => Failure::Pool(other.to_string()),
        })
    }

    async fn exchange(&self, batch: &Batch) -> Result<Vec<Value>, Failure> {
        let mut link = self.link().await?;
        let answers = match link.send(batch).await {
            Ok(answers) => answers,
            Err(error) if link.is_lost(&error) => {
                // The others go to the same server, and would fail likewise, one by one.
                drop(Object::take(link));
                self.pool.retain(|_, _| false);
                return Err(Failure::Lost(error));
            }
            Err(error) => return Err(Failure::Refused(error)),
        };
        batch.replies(answers, self.replicas).map_err(Failure::Refused)
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.call_timeout, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failure)) => Err(match failure {
                Failure::Lost(error) | Failure::Refused(error) => self.failed(&error),
                Failure::NoConnection => self.unavailable(
                    &"no connection in time; is the server up, or the pool too small?",
                ),
                Failure::Pool(why) => self.unavailable(&why),
            }),
            Err(_) => Err(self.unavailable(&format!("no answer within {:?}", self.call_timeout))),
        }
    }

    fn unavailable(&self, cause: &dyn fmt::Display) -> StoreError {
        StoreError::Unavailable(format!("Redis at {}: {cause}", self.addresses))
    }

    /// A value that does not read as what its key holds.
    pub(crate) fn unreadable(&self, kind: &str, cause: impl fmt::Display) -> StoreError {
        StoreError::Corrupt(format!(
            "Redis at {}: a value of {kind} does not decode ({cause}); use another namespace and \
             load the data again",
            self.addresses
        ))
    }

    pub(crate) fn failed(&self, error: &RedisError) -> StoreError {
        match error.kind() {
            // The server answered, but with another type than this layout has under that key.
            ErrorKind::UnexpectedReturnType => self.unreadable("an unexpected type", error),
            _ if error.code() == Some("WRONGTYPE") => self.unreadable("an unexpected type", error),
            _ => self.unavailable(error),
        }
    }
}

/// Class of an error in spans.
const fn error_type(error: &StoreError) -> &'static str {
    match error {
        StoreError::Corrupt(_) => "corrupt",
        _ => "unavailable",
    }
}

/// Why an exchange did not happen.
enum Failure {
    /// The connection is of no use any more.
    Lost(RedisError),
    /// The server, or the way to it, said no.
    Refused(RedisError),
    NoConnection,
    Pool(String),
}
