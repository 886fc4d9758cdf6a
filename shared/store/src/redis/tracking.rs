//! Keeps the items held in memory as new as those on the servers.
//!
//! One connection to each server that holds items asks to be told of every change of an item's key
//! (`CLIENT TRACKING ON BCAST`; Redis manual, "Client-side caching"). A changed item is forgotten
//! as soon as the server says so, which it does no later than it confirms the write. Whether the
//! connections still work, and still lead to the masters, is asked every [`HEARTBEAT`]; when one
//! does not, nothing is held in memory until all do. So no process answers with an item older than
//! [`HEARTBEAT`] plus [`ANSWER`], whatever breaks.

use std::{sync::Arc, time::Duration};

use plugrank_contract::ItemId;
use redis::{PushInfo, PushKind, RedisError, RedisResult, Value, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{connection::Server, keys::Keys};
use crate::item_cache::ItemCache;

/// How often the connections are asked.
const HEARTBEAT: Duration = Duration::from_millis(400);
/// Longest wait for their answer.
const ANSWER: Duration = Duration::from_millis(500);
/// Pause before connecting again.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens until dropped.
#[derive(Debug)]
pub(super) struct Tracking(JoinHandle<()>);

impl Tracking {
    pub(super) fn start(server: Server, keys: Keys, cache: Arc<ItemCache>) -> Self {
        Self(tokio::spawn(async move {
            let mut told = false;
            loop {
                let ended = listen(&server, &keys, &cache).await;
                cache.restart(false);
                // Said once, not ten times a second while a server is down.
                if let Err(error) = &ended
                    && !told
                {
                    tracing::warn!(%error, "items are not kept in memory: no word of changes");
                }
                told = ended.is_err();
                sleep(PAUSE).await;
            }
        }))
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects and forgets what changes. `Ok` when it ended for a reason that is no error: a
/// connection was closed, a master replaced.
async fn listen(server: &Server, keys: &Keys, cache: &ItemCache) -> RedisResult<()> {
    let (pushes, mut changes) = unbounded_channel();
    let masters = server.masters().await?;
    let manager = server.manager();
    let mut connections = Vec::new();
    for (host, port) in &masters {
        connections.push(manager.open_node_pushing((host, *port), pushes.clone()).await?);
    }
    connections.extend(manager.open_pushing(pushes).await?);
    for connection in &mut connections {
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(keys.item_prefix());
        tracking.query_async::<()>(connection).await?;
    }
    cache.restart(true);
    tracing::debug!(servers = connections.len(), "items are kept in memory");
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            open = forget(&mut changes, keys, cache) => if !open { return Ok(()) },
            _ = heartbeat.tick() => {
                let same = async {
                    all_masters(&mut connections).await?;
                    Ok::<_, RedisError>(server.masters().await? == masters)
                };
                match timeout(ANSWER, same).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => return Ok(()),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
                }
            }
        }
    }
}

/// Forgets what the next message names; whether there will be further ones.
async fn forget(changes: &mut UnboundedReceiver<PushInfo>, keys: &Keys, cache: &ItemCache) -> bool {
    let Some(push) = changes.recv().await else { return false };
    match (push.kind, push.data.into_iter().next()) {
        (PushKind::Disconnection, _) => return false,
        (PushKind::Invalidate, Some(Value::Array(changed))) => {
            let id = |key: Value| match key {
                Value::BulkString(key) => keys.item_of(&key),
                _ => None,
            };
            let ids: Vec<ItemId> = changed.into_iter().filter_map(id).collect();
            cache.forget(&ids);
        }
        // The whole database was emptied.
        (PushKind::Invalidate, _) => cache.restart(true),
        _ => {}
    }
    true
}

/// Fails unless every connection leads to a master.
async fn all_masters(connections: &mut [MultiplexedConnection]) -> RedisResult<()> {
    for connection in connections {
        let role: Vec<Value> = cmd("ROLE").query_async(connection).await?;
        if !matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") {
            return Err(RedisError::from((
                redis::ErrorKind::Client,
                "a server is no longer a master",
            )));
        }
    }
    Ok(())
}
