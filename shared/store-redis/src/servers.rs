//! Which Redis servers hold the store, and how to reach them.

use std::fmt;

use plugrank_settings::RedisConnection;
use plugrank_store::StoreError;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Which of the three ways to the servers is set.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum RedisServers {
    /// One server: `redis://[user:password@]host:port[/db]`, `rediss://…` or `unix:/path`.
    Single(String),
    /// A master that Sentinels watch and replace.
    Sentinel {
        /// Addresses of the Sentinels. A user and password in them are for the Sentinels.
        urls: Vec<String>,
        /// The name by which the Sentinels know the master.
        master: String,
    },
    /// A Redis Cluster: some of its nodes, from which the others are learned.
    Cluster(Vec<String>),
}

impl RedisServers {
    /// The way that the settings name.
    pub(crate) fn new(connection: &RedisConnection) -> Result<Self, StoreError> {
        let RedisConnection { url, cluster_urls, sentinel_urls, sentinel_master, .. } = connection;
        match (url, &cluster_urls[..], &sentinel_urls[..], sentinel_master) {
            (Some(url), [], [], None) => Ok(Self::Single(url.clone())),
            (None, [_, ..], [], None) => Ok(Self::Cluster(cluster_urls.clone())),
            (None, [], [_, ..], Some(master)) => {
                Ok(Self::Sentinel { urls: sentinel_urls.clone(), master: master.clone() })
            }
            _ => Err(StoreError::Unavailable(
                "one way to the Redis servers is set: url, cluster_urls, or sentinel_urls with \
                 sentinel_master"
                    .to_owned(),
            )),
        }
    }

    fn urls(&self) -> &[String] {
        match self {
            Self::Single(url) => std::slice::from_ref(url),
            Self::Sentinel { urls, .. } | Self::Cluster(urls) => urls,
        }
    }

    /// Hosts and ports, without credentials.
    pub(crate) fn addresses(&self) -> String {
        let address = |url: &String| {
            url.as_str().into_connection_info().map_or_else(
                |_| "not an address".to_owned(),
                |info| match info.addr() {
                    ConnectionAddr::Unix(path) => path.display().to_string(),
                    tcp => tcp.to_string(),
                },
            )
        };
        self.urls().iter().map(address).collect::<Vec<_>>().join(", ")
    }

    /// The addresses, read.
    pub(crate) fn parse(&self) -> Result<Vec<ConnectionInfo>, StoreError> {
        let several = !matches!(self, Self::Single(_));
        self.urls().iter().map(|url| parse(url, several)).collect()
    }
}

/// Reads an address. No message shows it: it may hold a password.
fn parse(url: &str, one_of_several: bool) -> Result<ConnectionInfo, StoreError> {
    let refused = |why: &dyn fmt::Display| {
        StoreError::Unavailable(format!(
            "the Redis URL is not one ({why}); write it as redis://[user:password@]host:port[/db], \
             or rediss:// for TLS"
        ))
    };
    let info = url.into_connection_info().map_err(|error| refused(&error))?;
    if one_of_several && info.redis_settings().db() != 0 {
        return Err(refused(&"Sentinel and Cluster are used with database 0 only"));
    }
    if one_of_several && matches!(info.addr(), ConnectionAddr::Unix(_)) {
        return Err(refused(&"Sentinel and Cluster are reached by host and port"));
    }
    Ok(info)
}

// Without passwords.
impl fmt::Debug for RedisServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Single(_) => "Single",
            Self::Sentinel { .. } => "Sentinel",
            Self::Cluster(_) => "Cluster",
        };
        f.debug_tuple(kind).field(&self.addresses()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_redacted() {
        let url = "redis://app:s3cret@host:6379/0".to_owned();
        let shown = format!(
            "{:?} {:?}",
            RedisServers::Single(url.clone()),
            RedisServers::Cluster(vec![url])
        );
        assert!(shown.contains("host:6379") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn invalid_cluster_urls_are_refused() {
        for url in ["redis://host:6379/3", "unix:/tmp/redis.sock", "htp://host"] {
            let error = RedisServers::Cluster(vec![url.to_owned()]).parse().unwrap_err();
            assert!(error.to_string().contains("redis://"), "{error}");
        }
        assert!(RedisServers::Single("redis://host:6379/3".to_owned()).parse().is_ok());
        let none = RedisServers::new(&RedisConnection::default()).unwrap_err().to_string();
        assert!(none.contains("sentinel_master"), "{none}");
    }
}
