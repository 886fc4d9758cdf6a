//! Keeps the items held in memory as new as those on the servers.
//!
//! One connection to each server that holds items asks to be told of every change of an item's key
//! (`CLIENT TRACKING ON BCAST`; Redis manual, "Client-side caching"). A changed item is forgotten
//! as soon as the server says so, which it does no later than it confirms the write. Whether the
//! connections still work, and still lead to the masters, is asked every [`HEARTBEAT`]; when one
//! does not, nothing is held in memory until all do. What is held counts as current for
//! [`HEARTBEAT`] plus [`ANSWER`] from the last question that was answered. So no process answers
//! with an item that changed longer ago, whatever breaks, be it the process itself that stood still.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_contract::ItemId;
use redis::{PushInfo, PushKind, RedisError, RedisResult, Value, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::mpsc::unbounded_channel,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{connection::Server, keys::Keys, link};
use crate::{changes::CACHES_BEHIND, item_cache::ItemCache};

/// How often the connections are asked.
const HEARTBEAT: Duration = Duration::from_millis(400);
/// Longest wait for their answer.
const ANSWER: Duration = Duration::from_millis(500);
const _: () = assert!(HEARTBEAT.as_millis() + ANSWER.as_millis() <= CACHES_BEHIND.as_millis());
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
    // As this node sees them: it is the one that is asked again.
    let masters = self::masters(&mut connections, !masters.is_empty()).await?;
    cache.restart(true);
    tracing::debug!(servers = connections.len(), "items are kept in memory");
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            push = changes.recv() => match push {
                Some(push) => if !forget(push, keys, cache) { return Ok(()) },
                None => return Ok(()),
            },
            _ = heartbeat.tick() => {
                let asked = Instant::now();
                let same = async {
                    all_masters(&mut connections).await?;
                    let now = self::masters(&mut connections, !masters.is_empty()).await?;
                    Ok::<_, RedisError>(now == masters)
                };
                match timeout(ANSWER, same).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => return Ok(()),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
                }
                // On each connection, word of what changed before the answer came before it.
                while let Ok(push) = changes.try_recv() {
                    if !forget(push, keys, cache) {
                        return Ok(());
                    }
                }
                cache.current_until(asked + HEARTBEAT + ANSWER);
            }
        }
    }
}

/// Forgets what a message names; whether there will be further ones.
fn forget(push: PushInfo, keys: &Keys, cache: &ItemCache) -> bool {
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
        // The whole database was emptied: begin anew.
        (PushKind::Invalidate, _) => return false,
        _ => {}
    }
    true
}

/// A cluster's masters, as the first node sees them.
async fn masters(
    connections: &mut [MultiplexedConnection],
    cluster: bool,
) -> RedisResult<Vec<(String, u16)>> {
    match connections.first_mut().filter(|_| cluster) {
        Some(node) => link::masters_of(link::slots_command().query_async(node).await?),
        None => Ok(Vec::new()),
    }
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
