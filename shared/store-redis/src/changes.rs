//! Word of changed items, in a stream a bucket: there it changes in one transaction with the item,
//! in a cluster too. Items are named, not told: a follower reads what they have become.
//!
//! Whether changes were missed is told by counting. A server knows how many entries a stream was
//! ever given (`entries-added`, Redis 7.0) and how many it still has; a position knows how many of
//! them it has read. So it is noticed when entries were trimmed unread, and when a server that took
//! over, or was emptied, does not have what was read.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use plugrank_contract::ItemId;
use plugrank_store::{
    ChangeLag, ChangeLog, ChangePosition, Changes, StoreError,
    changes::{Change, Next, StreamPosition},
};
use redis::{Value, aio::MultiplexedConnection, cmd};
use tokio::sync::Mutex;

use crate::{
    batch::{Batch, Kind},
    buckets,
    connection::Server,
    keys::Keys,
    scripts,
};

/// Entries read of a stream at a time.
const ENTRIES: usize = 16;
/// How often a cluster is asked. Its streams lie in as many slots, and a command that waits can wait
/// for those of one slot only.
const POLL: Duration = Duration::from_millis(500);

/// The field that an item is named in.
const fn field(change: Change) -> &'static str {
    match change {
        Change::Item => "i",
        Change::Stats => "s",
    }
}

/// Adds the word of changed items: one entry a bucket. About `kept` entries stay, over all buckets.
pub(crate) fn announce(batch: &mut Batch, keys: &Keys, change: Change, ids: &[ItemId], kept: u64) {
    let mut by_bucket: BTreeMap<usize, Vec<&ItemId>> = BTreeMap::new();
    for id in ids {
        by_bucket.entry(buckets::bucket_of(id.as_str().as_bytes())).or_default().push(id);
    }
    let kept = kept.div_ceil(buckets::COUNT as u64).max(1);
    for (bucket, ids) in by_bucket {
        let key = keys.changes(bucket);
        let mut command = cmd("XADD");
        command.arg(&key).arg("MAXLEN").arg("~").arg(kept).arg("*");
        for id in ids {
            command.arg(field(change)).arg(id.as_str());
        }
        batch.push(&key, command);
    }
}

/// The streams of one store.
pub(crate) struct RedisChanges {
    server: Server,
    keys: Keys,
    /// Waits for changes; made when it is needed, and given up when something is wrong with it.
    waiting: Mutex<Option<MultiplexedConnection>>,
}

/// A stream as it stands, with entries after a position: id, then fields and values by turns.
struct Stream {
    /// Entries it was ever given.
    added: u64,
    length: u64,
    last: (u64, u64),
    entries: Vec<((u64, u64), Vec<String>)>,
}

impl Stream {
    /// Whether it has, or had when they were read, all entries that a position counts, and still has
    /// all that come after.
    fn continues(&self, position: &StreamPosition) -> bool {
        let trimmed = self.added.saturating_sub(self.length);
        trimmed <= position.count && self.added >= position.count && self.last >= position.id
    }
}

impl RedisChanges {
    pub(crate) fn new(server: Server, keys: Keys) -> Self {
        Self { server, keys, waiting: Mutex::new(None) }
    }

    /// All streams, by bucket.
    async fn streams(
        &self,
        after: Option<&ChangePosition>,
        entries: usize,
    ) -> Result<Vec<Stream>, StoreError> {
        let mut batch = self.server.batch(Kind::Plain);
        for bucket in 0..buckets::COUNT {
            let after = after.and_then(|position| position.0.get(bucket));
            let id = entry_id(after.map_or((0, 0), |position| position.id));
            let args = [id.into_bytes(), entries.to_string().into_bytes()];
            batch.run(&scripts::CHANGES_AFTER, &[self.keys.changes(bucket)], &args);
        }
        type Answer = (u64, u64, String, Vec<(String, Vec<String>)>);
        let answers: Vec<Answer> = self.server.send(batch).await?;
        let odd = |id: &str| self.server.unreadable("changes", format!("{id:?} is no entry's id"));
        let parsed = |id: &str| parse(id).ok_or_else(|| odd(id));
        answers
            .into_iter()
            .map(|(added, length, last, entries)| {
                let entries = entries.into_iter().map(|(id, named)| Ok((parsed(&id)?, named)));
                let entries = entries.collect::<Result<_, StoreError>>()?;
                Ok(Stream { added, length, last: parsed(&last)?, entries })
            })
            .collect()
    }

    /// Waits on a connection of its own, where there is one server.
    async fn wait_there(
        &self,
        position: &ChangePosition,
        longest: Duration,
    ) -> Result<(), redis::RedisError> {
        let mut waiting = self.waiting.lock().await;
        // Taken out, so that a failed or abandoned one is not used again.
        let mut connection = match waiting.take() {
            Some(connection) => connection,
            None => match self.server.manager().open_waiting(longest).await? {
                Some(connection) => connection,
                None => {
                    tokio::time::sleep(POLL.min(longest)).await;
                    return Ok(());
                }
            },
        };
        let mut read = cmd("XREAD");
        let block = longest.as_millis().max(1) as u64;
        read.arg("COUNT").arg(1).arg("BLOCK").arg(block).arg("STREAMS");
        for bucket in 0..buckets::COUNT {
            read.arg(self.keys.changes(bucket));
        }
        for stream in &position.0 {
            read.arg(entry_id(stream.id));
        }
        read.query_async::<Value>(&mut connection).await?;
        *waiting = Some(connection);
        Ok(())
    }
}

#[async_trait]
impl ChangeLog for RedisChanges {
    async fn end(&self) -> Result<ChangePosition, StoreError> {
        let streams = self.streams(None, 1).await?;
        let end = |stream: Stream| StreamPosition { id: stream.last, count: stream.added };
        Ok(ChangePosition(streams.into_iter().map(end).collect()))
    }

    async fn after(&self, position: &ChangePosition) -> Result<Next, StoreError> {
        if position.0.len() != buckets::COUNT {
            return Ok(Next::Lost);
        }
        let (mut items, mut stats) = (Vec::new(), Vec::new());
        let mut next = position.clone();
        for (stream, position) in
            self.streams(Some(position), ENTRIES).await?.into_iter().zip(&mut next.0)
        {
            if !stream.continues(position) {
                return Ok(Next::Lost);
            }
            let all = stream.entries.len() < ENTRIES;
            for (id, named) in stream.entries {
                *position = StreamPosition { id, count: position.count + 1 };
                for (field, item) in named.chunks_exact(2).map(|pair| (&pair[0], &pair[1])) {
                    let changed =
                        if field == self::field(Change::Item) { &mut items } else { &mut stats };
                    changed.push(ItemId::from(item.as_str()));
                }
            }
            // Entries that were counted but are not there: taken out by hand, or never passed on to
            // the server that is asked now.
            if all && position.count != stream.added {
                return Ok(Next::Lost);
            }
        }
        if next == *position {
            return Ok(Next::Nothing);
        }
        Ok(Next::Changes(Changes::new(items, stats, next)))
    }

    async fn wait(&self, position: &ChangePosition, longest: Duration) -> Result<(), StoreError> {
        if position.0.len() != buckets::COUNT {
            return Ok(());
        }
        self.wait_there(position, longest).await.map_err(|error| self.server.failed(&error))
    }

    async fn lag(&self, position: &ChangePosition) -> Result<ChangeLag, StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut lag = ChangeLag::default();
        for (stream, position) in
            self.streams(Some(position), 1).await?.into_iter().zip(&position.0)
        {
            lag.entries += stream.added.saturating_sub(position.count);
            if let Some(((at, _), _)) = stream.entries.first() {
                lag.age = lag.age.max(now.saturating_sub(Duration::from_millis(*at)));
            }
        }
        Ok(lag)
    }
}

fn entry_id((time, number): (u64, u64)) -> String {
    format!("{time}-{number}")
}

fn parse(id: &str) -> Option<(u64, u64)> {
    let (time, number) = id.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}
