//! The store on a Redis server (6.2 or later), shared by several processes.
//!
//! Keys, each behind the namespace and a colon ([`keys`]); `{…}` is the hash tag, so that in a
//! cluster the keys of one user share a slot, and those of one item:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `schema:` | string | version of this layout |
//! | `items:` | sorted set, scores 0 | item ids, for scanning and counting |
//! | `item:{i:ID}` | string | content hash and item (postcard) |
//! | `image:{i:ID}` | string | the image file |
//! | `stats:{i:ID}` | hash | `n` impressions, `c` clicks from events; `ln`, `lc` from the loader |
//! | `near:{i:ID}` | string | neighbours (postcard) |
//! | `user:{u:ID}` | string | profile (postcard) |
//! | `clicks:{u:ID}`, `shown:{u:ID}` | sorted set, scores 0 | history: timestamp and item id, order-preserving bytes |
//! | `exposure:{u:ID}REQUEST` | hash, expires | by item id: `c` clicked, or `s` and the shown entry |
//! | `event:EVENT` | string, expires | the event (postcard); its presence tells a repeat |
//! | `vector:m` or `:r`, version, key | string, expires | a cached vector |
//!
//! Events are appended by one script, whole or not at all; it touches keys of events, users and
//! items, so it wants a single server. Everything else stays within a slot, but for writing an
//! item together with the index `items:`.
//!
//! Writes are as durable as the server makes them: set `appendonly yes` and `appendfsync always`
//! for what the trait promises, or accept the loss of the last second with `everysec`. Memory: if
//! the server has a `maxmemory`, use `noeviction` or `volatile-ttl`, which evicts cached vectors
//! first; other policies lose data.

mod catalog;
mod connection;
mod events;
mod history;
mod keys;
mod options;
mod spans;
mod stats;
mod store;
mod users;
mod vectors;

pub use options::RedisOptions;
pub use store::RedisStore;
