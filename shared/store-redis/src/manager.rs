//! Opens connections of any kind, for the pool.

use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use plugrank_settings::RedisConnection;
use plugrank_store::StoreError;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, RedisError,
    TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;

use crate::{RedisServers, link::Link};

/// Times a cluster's client tries anew, within the time of the call: after a redirection, or while
/// a replica takes its master's place.
const CLUSTER_RETRIES: u32 = 8;
/// Longest wait between these.
const CLUSTER_RETRY_WAIT: Duration = Duration::from_millis(250);

enum Opener {
    Single(Client),
    Sentinel(Mutex<SentinelClient>),
    Cluster(ClusterClient),
}

/// Opens connections of one store.
pub(crate) struct Manager {
    opener: Opener,
    config: AsyncConnectionConfig,
    call_timeout: Duration,
}

impl Manager {
    pub(crate) fn new(
        servers: &RedisServers,
        access: &RedisConnection,
    ) -> Result<Self, StoreError> {
        let refused = |error: RedisError| StoreError::Unavailable(format!("Redis: {error}"));
        let timeout = access.timeout();
        let infos = servers.parse()?;
        let tls = infos.iter().any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
        let certificates = certificates(access, tls)?;
        if tls {
            // Two versions of a cryptography library may be linked in; another part of the process
            // may have chosen already, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let infos: Vec<ConnectionInfo> = infos
            .into_iter()
            .map(|info| {
                let mine = !matches!(servers, RedisServers::Sentinel { .. });
                let info = if mine { with_access(info, access) } else { info };
                let info = with_protocol(info);
                match &certificates {
                    Some(certificates) => Client::build_with_tls(info, certificates.clone())
                        .map(|client| client.get_connection_info().clone()),
                    None => Ok(info),
                }
            })
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let opener = match servers {
            RedisServers::Single(_) => {
                // `parse` refuses an empty list.
                Opener::Single(Client::open(infos[0].clone()).map_err(refused)?)
            }
            RedisServers::Sentinel { master, .. } => {
                let client = sentinel(&infos, master, access, certificates).map_err(refused)?;
                Opener::Sentinel(Mutex::new(client))
            }
            RedisServers::Cluster(_) => {
                let mut builder = ClusterClient::builder(infos)
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .retries(CLUSTER_RETRIES)
                    .min_retry_wait(5)
                    .max_retry_wait(CLUSTER_RETRY_WAIT.as_millis() as u64);
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                Opener::Cluster(builder.build().map_err(refused)?)
            }
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Ok(Self { opener, config, call_timeout: timeout })
    }

    /// Whether keys are spread over slots of several servers.
    pub(crate) fn has_slots(&self) -> bool {
        matches!(self.opener, Opener::Cluster(_))
    }

    /// A connection to the one server that holds everything, for commands that wait there for up to
    /// `longest`; `None` in a cluster, where there is no such server.
    pub(crate) async fn open_waiting(
        &self,
        longest: Duration,
    ) -> Result<Option<MultiplexedConnection>, RedisError> {
        let longest = longest + self.call_timeout;
        let config = self.config.clone().set_response_timeout(Some(longest));
        match &self.opener {
            Opener::Single(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Some)
            }
            Opener::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(Some)
            }
            Opener::Cluster(_) => Ok(None),
        }
    }
}

impl managed::Manager for Manager {
    type Type = Link;
    type Error = RedisError;

    async fn create(&self) -> Result<Link, RedisError> {
        Ok(match &self.opener {
            Opener::Single(client) => {
                Link::node(client.get_multiplexed_async_connection_with_config(&self.config).await?)
            }
            Opener::Sentinel(client) => Link::node(
                client.lock().await.get_async_connection_with_config(&self.config).await?,
            ),
            Opener::Cluster(client) => Link::cluster(client.get_async_connection().await?),
        })
    }

    /// Only a connection whose last exchange did not end well is asked whether it still works: a
    /// question each time would double the exchanges.
    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<RedisError> {
        if link.is_suspect() {
            link.ping().await.map_err(RecycleError::Backend)?;
        }
        Ok(())
    }
}

fn sentinel(
    infos: &[ConnectionInfo],
    master: &str,
    access: &RedisConnection,
    certificates: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let addresses = infos.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    let sentinels = infos[0].redis_settings();
    if let Some(username) = sentinels.username() {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = sentinels.password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(username) = &access.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &access.password {
        builder = builder.set_client_to_redis_password(password);
    }
    if matches!(infos[0].addr(), ConnectionAddr::TcpTls { .. }) {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder.set_client_to_redis_certificates(certificates);
    }
    builder.build()
}

fn with_access(info: ConnectionInfo, access: &RedisConnection) -> ConnectionInfo {
    let mut settings = info.redis_settings().clone();
    if let Some(username) = &access.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &access.password {
        settings = settings.set_password(password);
    }
    info.set_redis_settings(settings)
}

/// RESP3, in which replies have their types.
fn with_protocol(info: ConnectionInfo) -> ConnectionInfo {
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    info.set_redis_settings(settings)
}

/// The certificates to trust, when not the system's.
fn certificates(
    access: &RedisConnection,
    tls: bool,
) -> Result<Option<TlsCertificates>, StoreError> {
    let Some(path) = &access.ca_file else { return Ok(None) };
    let refused = |why: String| {
        StoreError::Unavailable(format!("the certificates {} for Redis: {why}", path.display()))
    };
    if !tls {
        return Err(refused("are for TLS; write the address as rediss://".to_owned()));
    }
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
        return Err(refused("the file holds no certificate in PEM form".to_owned()));
    }
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}
