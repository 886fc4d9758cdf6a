//! The store on Redis (6.2 or later), shared by several processes: one server, a master watched by
//! Sentinels, or a cluster. The layout is the same in all of them.
//!
//! Keys, each behind the namespace and a colon (`keys`); `{…}` is the hash tag, which decides the
//! slot: `{B}` one of 256 buckets of items and vectors (`buckets`), `{u:ID}` a user.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `schema:` | string | version of this layout |
//! | `items:{B}` | sorted set, scores 0 | item ids of the bucket, for scanning and counting |
//! | `changes:{B}` | stream, bounded | ids of the bucket's items that were written or deleted, by time (`changes`) |
//! | `document:` name | hash | `revision` and `bytes` |
//! | `item:{B}ID` | string | content hash and item (postcard) |
//! | `image:{B}ID` | string | the image file |
//! | `stats:{B}ID` | hash | `n` impressions, `c` clicks from events; `ln`, `lc` from the loader |
//! | `near:{B}ID` | string | neighbours (postcard) |
//! | `counted:{B}HASH` | string, expires | nothing; that an event was counted (`events`) |
//! | `vector:{B}` `m` or `r`, version, key | string, expires | a cached vector |
//! | `user:{u:ID}` | string | profile (postcard) |
//! | `clicks:{u:ID}`, `shown:{u:ID}` | sorted set, scores 0 | history: timestamp and item id, order-preserving bytes |
//! | `events:{u:ID}` | hash, expires | by event id: what it counted, and the event (postcard); its presence tells a repeat |
//! | `showings:{u:ID}` | hash, expires | by request and item: `c` clicked or `s` shown, its weight, and the shown entry |
//!
//! Writes are as durable as the servers make them: set `appendonly yes` and `appendfsync always`
//! for what the trait guarantees, or accept the loss of the last second with `everysec`; with
//! replicas, set [`RedisOptions::replicas`]. Memory: if a server has a `maxmemory`, use
//! `noeviction` or `volatile-ttl`, which evicts cached vectors first; other policies lose data.

mod batch;
mod buckets;
mod catalog;
mod changes;
mod connection;
mod documents;
mod events;
mod history;
mod keys;
mod link;
mod log;
mod manager;
mod migrate;
mod options;
mod scan;
mod scripts;
mod servers;
mod spans;
mod stats;
mod store;
mod users;
mod vector_sets;
mod vectors;

pub use migrate::NamespaceMigration;
pub use options::RedisOptions;
pub use plugrank_settings::RedisConnection;
pub(crate) use servers::RedisServers;
pub use store::RedisStore;
pub use vector_sets::{VectorSetOptions, VectorSets};
