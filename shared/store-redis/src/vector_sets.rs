//! Vectors of items in vector sets, and what is near: Redis 8.0 or later, one server or a cluster.
//!
//! A space is spread over shards by the items' ids. Each shard is a vector set (HNSW, arXiv
//! 1603.09320) in a slot of its own, so that in a cluster every master holds and searches its share.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `vectors:{B}` shard, space | vector set | vectors by item id, with `available` as an attribute |
//! | `vectors-state:` space | string, expires | what is said of the space (by whoever fills it) |
//! | `vectors-lease:` space | string, expires | who fills it |

use std::{cmp::Ordering, time::Duration};

use futures::future::try_join_all;
use plugrank_contract::ItemId;
use plugrank_store::{ItemVector, StoreError};
use redis::{Cmd, cmd};

use crate::{
    RedisConnection, RedisOptions,
    batch::Kind,
    buckets,
    connection::Server,
    keys::{Key, Keys},
    scripts,
};

/// Vectors in one exchange.
const CHUNK: usize = 200;

/// How vectors are kept and searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorSetOptions {
    /// Vector sets that a space is spread over, 1 to 256. Another number makes other spaces.
    pub shards: usize,
    /// Whether elements are kept as 8-bit integers: a quarter of the memory, a little less exact.
    pub int8: bool,
    /// Whether every vector is compared: exact, in time that grows with their number.
    pub exact: bool,
    /// Links a node has in each layer (M); the lowest layer has twice as many.
    pub connectivity: usize,
    /// Candidates looked at while a vector is added (efConstruction).
    pub expansion_add: usize,
    /// Candidates looked at in a search of a shard (ef), unless more neighbours are asked for.
    pub expansion_search: usize,
}

/// Vector sets on Redis servers.
#[derive(Clone, Debug)]
pub struct VectorSets {
    server: Server,
    keys: Keys,
    options: VectorSetOptions,
}

impl VectorSets {
    /// Prepares; connects with the first call.
    ///
    /// # Errors
    /// `Unavailable` when an address is not one, or there is no shard or are too many.
    pub fn new(servers: &RedisConnection, options: VectorSetOptions) -> Result<Self, StoreError> {
        if !(1..=buckets::COUNT).contains(&options.shards) {
            let most = buckets::COUNT;
            let shards = options.shards;
            return Err(StoreError::Unavailable(format!("{shards} shards; 1 to {most} can be")));
        }
        let server = Server::new(servers, 0)?;
        Ok(Self { server, keys: Keys::new(&RedisOptions::default().namespace), options })
    }

    /// Keeps vectors, replacing those of the same items.
    ///
    /// # Errors
    /// When the servers do not answer or refuse, as vectors of another size than the first.
    pub async fn put(&self, space: &str, vectors: &[ItemVector]) -> Result<(), StoreError> {
        let VectorSetOptions { int8, connectivity, expansion_add, .. } = self.options;
        for chunk in vectors.chunks(CHUNK) {
            let mut batch = self.server.batch(Kind::Plain);
            for ItemVector { id, vector, available } in chunk {
                let key = self.shard_of(space, id);
                let mut add = cmd("VADD");
                add.arg(&key).arg("FP32").arg(bytes(vector)).arg(id.as_str());
                add.arg(if int8 { "Q8" } else { "NOQUANT" }).arg("EF").arg(expansion_add);
                add.arg("SETATTR").arg(format!("{{\"available\":{}}}", u8::from(*available)));
                add.arg("M").arg(connectivity);
                batch.push(&key, add);
            }
            self.server.send::<bool>(batch).await?;
        }
        Ok(())
    }

    /// Takes vectors out; unknown ids are no error.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn remove(&self, space: &str, ids: &[ItemId]) -> Result<(), StoreError> {
        for chunk in ids.chunks(CHUNK) {
            let mut batch = self.server.batch(Kind::Plain);
            for id in chunk {
                let key = self.shard_of(space, id);
                batch.push(&key, cmd("VREM").arg(&key).arg(id.as_str()).take());
            }
            self.server.send::<bool>(batch).await?;
        }
        Ok(())
    }

    /// Normalised vectors of items, same order; `None` where there is none.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn vectors(
        &self,
        space: &str,
        ids: &[ItemId],
    ) -> Result<Vec<Option<Vec<f32>>>, StoreError> {
        let mut batch = self.server.batch(Kind::Plain);
        for id in ids {
            let key = self.shard_of(space, id);
            batch.push(&key, cmd("VEMB").arg(&key).arg(id.as_str()).take());
        }
        self.server.send(batch).await
    }

    /// The `count` available items nearest to a vector by cosine, nearest first, with `(1 + cosine)
    /// / 2`.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn search(
        &self,
        space: &str,
        vector: &[f32],
        count: usize,
    ) -> Result<Vec<(ItemId, f32)>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let vector = bytes(vector);
        let mut batch = self.server.batch(Kind::Plain);
        for shard in 0..self.options.shards {
            let key = self.keys.vectors(space, shard, self.options.shards);
            let mut near = cmd("VSIM");
            near.arg(&key).arg("FP32").arg(&vector).arg("WITHSCORES").arg("COUNT").arg(count);
            near.arg("EF").arg(self.options.expansion_search.max(count));
            near.arg("FILTER").arg(".available == 1");
            if self.options.exact {
                near.arg("TRUTH");
            }
            batch.push(&key, near);
        }
        let found: Vec<Vec<(String, f32)>> = self.server.send(batch).await?;
        let mut found: Vec<(ItemId, f32)> =
            found.into_iter().flatten().map(|(id, near)| (ItemId::from(id), near)).collect();
        // Among equals by id, so that the order does not go by the shards.
        let nearer = |a: &(ItemId, f32), b: &(ItemId, f32)| {
            b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal).then_with(|| a.0.cmp(&b.0))
        };
        found.sort_unstable_by(nearer);
        found.truncate(count);
        Ok(found)
    }

    /// Several searches side by side, each on a connection of its own.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn searches(
        &self,
        space: &str,
        searches: &[(&[f32], usize)],
    ) -> Result<Vec<Vec<(ItemId, f32)>>, StoreError> {
        try_join_all(searches.iter().map(|(vector, count)| self.search(space, vector, *count)))
            .await
    }

    /// Vectors in a space.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn count(&self, space: &str) -> Result<u64, StoreError> {
        let counts: Vec<u64> = self.of_shards(space, |key| cmd("VCARD").arg(key).take()).await?;
        Ok(counts.into_iter().sum())
    }

    /// Lets the vectors of a space go after a time.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn expire(&self, space: &str, after: Duration) -> Result<(), StoreError> {
        let seconds = after.as_secs().max(1);
        let expire = |key: &Key| cmd("EXPIRE").arg(key).arg(seconds).take();
        self.of_shards::<u64>(space, expire).await.map(drop)
    }

    /// What was said of a space.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn state(&self, space: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.keys.vectors_state(space);
        self.server.command(&key, cmd("GET").arg(&key).take()).await
    }

    /// Says something of a space, for a time.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn set_state(
        &self,
        space: &str,
        state: &[u8],
        time: Duration,
    ) -> Result<(), StoreError> {
        let key = self.keys.vectors_state(space);
        let seconds = time.as_secs().max(1);
        let command = cmd("SET").arg(&key).arg(state).arg("EX").arg(seconds).take();
        self.server.command(&key, command).await
    }

    /// Takes the lease of a space, or keeps it, for a time; whether `who` has it.
    ///
    /// # Errors
    /// When the servers do not answer or refuse.
    pub async fn lease(&self, space: &str, who: &str, time: Duration) -> Result<bool, StoreError> {
        let mut batch = self.server.batch(Kind::Plain);
        let time = time.as_millis().to_string().into_bytes();
        let args = [who.as_bytes().to_vec(), time];
        batch.run(&scripts::RENEW_LEASE, &[self.keys.vectors_lease(space)], &args);
        Ok(self.server.send::<bool>(batch).await?.pop().unwrap_or_default())
    }

    async fn of_shards<T: redis::FromRedisValue + Send>(
        &self,
        space: &str,
        command: impl Fn(&Key) -> Cmd,
    ) -> Result<Vec<T>, StoreError> {
        let mut batch = self.server.batch(Kind::Plain);
        for shard in 0..self.options.shards {
            let key = self.keys.vectors(space, shard, self.options.shards);
            let command = command(&key);
            batch.push(&key, command);
        }
        self.server.send(batch).await
    }

    fn shard_of(&self, space: &str, id: &ItemId) -> Key {
        let bucket = buckets::bucket_of(id.as_str().as_bytes());
        let shards = self.options.shards;
        self.keys.vectors(space, bucket * shards / buckets::COUNT, shards)
    }
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|element| element.to_le_bytes()).collect()
}
