//! The pool of connections, timeouts, and what Redis's errors mean to the store's callers.

use std::{fmt, future::Future};

use deadpool_redis::{
    Connection, Manager, Pool, PoolError, Runtime, Timeouts,
    redis::{
        AsyncConnectionConfig, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    },
};

use tracing::Instrument;

use super::spans::{Target, name, of_exchange};
use crate::{StoreError, redis::RedisOptions};

/// A bounded pool of connections to one server.
#[derive(Clone)]
pub(super) struct Server {
    pool: Pool,
    /// Host and port, without credentials.
    address: String,
    /// The same and the database, for spans.
    target: Target,
    call_timeout: std::time::Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Prepares the pool; connects with the first call.
    pub(super) fn new(url: &str, options: &RedisOptions) -> Result<Self, StoreError> {
        // Neither message shows the URL: it may hold a password.
        let invalid = |error: &dyn fmt::Display| {
            StoreError::Unavailable(format!(
                "the Redis URL is not one ({error}); write it as redis://[user:password@]host:port[/db]"
            ))
        };
        let info = url.into_connection_info().map_err(|error| invalid(&error))?;
        let address = info.addr().to_string();
        let target = Target::of(&info);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.call_timeout));
        let manager = Manager::new_with_config(info, config).map_err(|error| invalid(&error))?;
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(1))
            .timeouts(Timeouts {
                wait: Some(options.call_timeout),
                create: Some(options.connect_timeout),
                recycle: Some(options.call_timeout),
            })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(format!("Redis pool: {error}")))?;
        Ok(Self { pool, address, target, call_timeout: options.call_timeout })
    }

    /// One exchange: all commands of a pipeline in one message.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let work = async |connection: &mut Connection| pipeline.query_async(connection).await;
        let (operation, size) = name(pipeline);
        self.exchange(&operation, size, work).await
    }

    /// One exchange, with the whole of it bounded in time: of `operation`, the command or commands
    /// in it, and their number when there are several.
    pub(super) async fn exchange<T>(
        &self,
        operation: &str,
        size: Option<usize>,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let whole = async {
            let mut connection =
                self.pool.get().await.map_err(|error| self.no_connection(error))?;
            work(&mut connection).await.map_err(|error| self.failed(&error))
        };
        let span = of_exchange(&self.target, operation, size);
        let done = self.in_time(whole).instrument(span.clone()).await;
        if let Err(error) = &done {
            span.record("error.type", error_type(error));
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", error.to_string());
        }
        done
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::time::timeout(self.call_timeout, work).await.unwrap_or_else(|_| {
            Err(self.unavailable(&format!("no answer within {:?}", self.call_timeout)))
        })
    }

    fn unavailable(&self, cause: &dyn fmt::Display) -> StoreError {
        StoreError::Unavailable(format!("Redis at {}: {cause}", self.address))
    }

    /// A value that does not read as what its key holds.
    pub(super) fn unreadable(&self, kind: &str, cause: impl fmt::Display) -> StoreError {
        StoreError::Corrupt(format!(
            "Redis at {}: a value of {kind} does not decode ({cause}); use another namespace and \
             load the data again",
            self.address
        ))
    }

    fn no_connection(&self, error: PoolError) -> StoreError {
        match error {
            PoolError::Backend(error) => self.failed(&error),
            PoolError::Timeout(_) => {
                self.unavailable(&"no connection in time; is the server up, or the pool too small?")
            }
            other => self.unavailable(&other),
        }
    }

    fn failed(&self, error: &RedisError) -> StoreError {
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
