//! Names of keys. Every name is unambiguous with any ids, braces included.

use plugrank_contract::{ItemId, UserId};
use plugrank_store::VectorSpace;
use redis::{RedisWrite, ToRedisArgs};

use crate::buckets;

/// A key's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// One that a server has told.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its slot in a cluster.
    pub(crate) fn slot(&self) -> u16 {
        buckets::slot(&self.0)
    }
}

impl ToRedisArgs for Key {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(&self.0);
    }
}

/// What is logged of a user, in a sorted set by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Ids of events.
    Events,
    /// Exposures, as they are.
    Exposures,
}

impl Log {
    const fn key(self) -> &'static str {
        match self {
            Self::Events => "times",
            Self::Exposures => "exposures",
        }
    }
}

/// Makes the keys of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    namespace: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    pub(crate) fn schema(&self) -> Key {
        self.key("schema", &[])
    }

    /// A document.
    pub(crate) fn document(&self, name: &str) -> Key {
        self.key("document", &[name.as_bytes()])
    }

    /// Ids of the items of a bucket.
    pub(crate) fn items(&self, bucket: usize) -> Key {
        self.key("items", &[tagged(buckets::tag(bucket)).as_bytes()])
    }

    /// Changes of the items of a bucket.
    pub(crate) fn changes(&self, bucket: usize) -> Key {
        self.key("changes", &[tagged(buckets::tag(bucket)).as_bytes()])
    }

    pub(crate) fn item(&self, id: &ItemId) -> Key {
        self.of_item("item", id)
    }

    pub(crate) fn image(&self, id: &ItemId) -> Key {
        self.of_item("image", id)
    }

    pub(crate) fn stats(&self, id: &ItemId) -> Key {
        self.of_item("stats", id)
    }

    pub(crate) fn neighbours(&self, id: &ItemId) -> Key {
        self.of_item("near", id)
    }

    /// Whether an event was counted in its item's statistics. By the hash of user and event.
    pub(crate) fn counted(&self, item: &ItemId, user: &UserId, event: &str) -> Key {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(user.as_str().len() as u64).to_le_bytes());
        hasher.update(user.as_str().as_bytes());
        hasher.update(event.as_bytes());
        let tag = tagged(buckets::tag(buckets::bucket_of(item.as_str().as_bytes())));
        self.key("counted", &[tag.as_bytes(), &hasher.finalize().as_bytes()[..16]])
    }

    pub(crate) fn user(&self, id: &UserId) -> Key {
        self.of_user("user", id, "")
    }

    pub(crate) fn clicks(&self, id: &UserId) -> Key {
        self.of_user("clicks", id, "")
    }

    /// The user of a key of [`Self::clicks`] or [`Self::shown`], and whether it is of the former.
    pub(crate) fn history_of(&self, key: &[u8]) -> Option<(UserId, bool)> {
        let rest = key.strip_prefix(self.namespace.as_bytes())?;
        let kinds = [(b":clicks:{u:".as_slice(), true), (b":shown:{u:", false)];
        let (id, clicked) = kinds
            .into_iter()
            .find_map(|(kind, clicked)| Some((rest.strip_prefix(kind)?, clicked)))?;
        Some((UserId::from(std::str::from_utf8(id.strip_suffix(b"}")?).ok()?), clicked))
    }

    /// What follows the name of a kind of keys.
    fn rest<'a>(&self, kind: &str, key: &'a [u8]) -> Option<&'a [u8]> {
        let rest = key.strip_prefix(self.namespace.as_bytes())?.strip_prefix(b":")?;
        rest.strip_prefix(kind.as_bytes())
    }

    /// Whether a key is one of [`Self::user`].
    pub(crate) fn is_user(&self, key: &[u8]) -> bool {
        self.rest("user:{u:", key).is_some()
    }

    /// Whether a key is that of an event in schema 3: `event`, the user's length, and both ids.
    pub(crate) fn is_event_3(&self, key: &[u8]) -> bool {
        self.rest("event", key).and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
    }

    /// The name of a document.
    pub(crate) fn document_of(&self, key: &[u8]) -> Option<String> {
        String::from_utf8(self.rest("document:", key)?.to_vec()).ok()
    }

    /// The item of a key of a kind.
    pub(crate) fn item_of(&self, kind: &str, key: &[u8]) -> Option<ItemId> {
        let rest = self.rest(kind, key)?.strip_prefix(b":{")?;
        let end = rest.iter().position(|byte| *byte == b'}')?;
        Some(ItemId::from(std::str::from_utf8(&rest[end + 1..]).ok()?))
    }

    /// A pattern of `SCAN` that every key of this namespace matches.
    pub(crate) fn pattern(&self) -> String {
        let mut pattern = String::new();
        for character in self.namespace.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern + ":*"
    }

    pub(crate) fn shown(&self, id: &UserId) -> Key {
        self.of_user("shown", id, "")
    }

    /// A user's log of a kind.
    pub(crate) fn log(&self, log: Log, id: &UserId) -> Key {
        self.of_user(log.key(), id, "")
    }

    /// The user of a key of [`Self::log`].
    pub(crate) fn log_of(&self, log: Log, key: &[u8]) -> Option<UserId> {
        let rest = key.strip_prefix(self.namespace.as_bytes())?;
        let rest = rest.strip_prefix(b":")?.strip_prefix(log.key().as_bytes())?;
        let id = rest.strip_prefix(b":{u:")?.strip_suffix(b"}")?;
        Some(UserId::from(std::str::from_utf8(id).ok()?))
    }

    /// A user's events by id.
    pub(crate) fn events(&self, id: &UserId) -> Key {
        self.of_user("events", id, "")
    }

    /// What is known of what was shown to a user, by request and item.
    pub(crate) fn showings(&self, id: &UserId) -> Key {
        self.of_user("showings", id, "")
    }

    /// A vector's key. The version's length keeps apart versions that begin alike.
    pub(crate) fn vector(&self, space: &VectorSpace, key: &[u8]) -> Key {
        let (kind, version) = match space {
            VectorSpace::Modal(version) => ("m", version),
            VectorSpace::Record(version) => ("r", version),
        };
        let tag = tagged(buckets::tag(buckets::bucket_of(key)));
        let space = format!("{kind}:{}:{version}:", version.len());
        self.key("vector", &[tag.as_bytes(), space.as_bytes(), key])
    }

    /// A shard of a space of vectors, of so many. The space's length keeps apart spaces that begin
    /// alike.
    pub(crate) fn vectors(&self, space: &str, shard: usize, shards: usize) -> Key {
        let tag = tagged(buckets::tag(shard * buckets::COUNT / shards));
        let rest = format!("{shard}/{shards}:{}:{space}", space.len());
        self.key("vectors", &[tag.as_bytes(), rest.as_bytes()])
    }

    /// What is said of a space of vectors.
    pub(crate) fn vectors_state(&self, space: &str) -> Key {
        self.key("vectors-state", &[space.as_bytes()])
    }

    /// Who fills a space of vectors.
    pub(crate) fn vectors_lease(&self, space: &str) -> Key {
        self.key("vectors-lease", &[space.as_bytes()])
    }

    fn of_item(&self, kind: &str, id: &ItemId) -> Key {
        let id = id.as_str().as_bytes();
        self.key(kind, &[tagged(buckets::tag(buckets::bucket_of(id))).as_bytes(), id])
    }

    // "u:" inside the braces: an empty hash tag would be none.
    fn of_user(&self, kind: &str, id: &UserId, rest: &str) -> Key {
        self.key(kind, &[tagged(&format!("u:{id}")).as_bytes(), rest.as_bytes()])
    }

    fn key(&self, kind: &str, rest: &[&[u8]]) -> Key {
        let mut key = format!("{}:{kind}:", self.namespace).into_bytes();
        rest.iter().for_each(|part| key.extend_from_slice(part));
        Key(key)
    }
}

fn tagged(tag: &str) -> String {
    format!("{{{tag}}}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_of_a_user_or_an_item_share_a_slot() {
        let keys = Keys::new("ns");
        for id in ["u", "", "}", "{", "{}", "a}b{c}"] {
            let (user, item) = (UserId::from(id), ItemId::from(id));
            let slot = keys.user(&user).slot();
            let logs = [Log::Events, Log::Exposures].map(|log| keys.log(log, &user));
            assert_eq!(keys.log_of(Log::Events, &logs[0].0), Some(user.clone()));
            assert_eq!(keys.log_of(Log::Events, &logs[1].0), None);
            let [times, exposures] = logs;
            for key in [
                keys.clicks(&user),
                keys.shown(&user),
                keys.events(&user),
                keys.showings(&user),
                times,
                exposures,
            ] {
                assert_eq!(key.slot(), slot, "{id}");
                assert!(buckets::hash_tag(&key.0).starts_with(b"u:"));
            }
            let slot = keys.items(buckets::bucket_of(id.as_bytes())).slot();
            assert_eq!(keys.changes(buckets::bucket_of(id.as_bytes())).slot(), slot);
            let counted = keys.counted(&item, &user, "e");
            let items = [keys.item(&item), keys.image(&item), keys.stats(&item), counted];
            assert!(items.iter().all(|key| key.slot() == slot), "{id}");
            assert_eq!(keys.history_of(&keys.clicks(&user).0), Some((user.clone(), true)));
            assert_eq!(keys.history_of(&keys.shown(&user).0), Some((user.clone(), false)));
            assert_eq!(keys.neighbours(&item).slot(), slot);
        }
        assert_eq!(keys.history_of(b"other:clicks:{u:a}"), None);
        assert_eq!(keys.history_of(&keys.user(&"a".into()).0), None);
        let (user, item) = (UserId::from("u"), ItemId::from("}i{"));
        assert!(keys.is_user(&keys.user(&user).0) && !keys.is_user(&keys.events(&user).0));
        assert!(keys.is_event_3(b"ns:event1:{u:u}e") && !keys.is_event_3(&keys.events(&user).0));
        assert_eq!(keys.document_of(&keys.document("a:b").0).as_deref(), Some("a:b"));
        assert_eq!(keys.item_of("stats", &keys.stats(&item).0), Some(item.clone()));
        assert_eq!(keys.item_of("near", &keys.stats(&item).0), None);
        assert_eq!(Keys::new("a*[b]").pattern(), "a\\*\\[b\\]:*");
    }

    #[test]
    fn different_objects_have_different_keys() {
        let keys = Keys::new("ns");
        let ids = ["", "a", "a}", "a}:", "}a", "{u:a}", ":", "1", "a}r", "r"];
        let mut all = vec![keys.schema(), keys.document("")];
        all.extend(
            (0..buckets::COUNT).flat_map(|bucket| [keys.items(bucket), keys.changes(bucket)]),
        );
        for id in ids {
            let (user, item) = (UserId::from(id), ItemId::from(id));
            all.extend([keys.vectors_state(id), keys.vectors_lease(id)]);
            all.extend([(0, 1), (0, 2), (1, 2)].map(|(shard, of)| keys.vectors(id, shard, of)));
            all.extend([keys.item(&item), keys.image(&item), keys.stats(&item)]);
            all.push(keys.neighbours(&item));
            all.extend([keys.user(&user), keys.clicks(&user), keys.shown(&user)]);
            all.extend([keys.events(&user), keys.showings(&user)]);
            all.extend([Log::Events, Log::Exposures].map(|log| keys.log(log, &user)));
            for other in ids {
                all.push(keys.counted(&"i".into(), &user, other));
                all.push(keys.vector(&VectorSpace::Modal(id.into()), other.as_bytes()));
                all.push(keys.vector(&VectorSpace::Record(id.into()), other.as_bytes()));
            }
        }
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
