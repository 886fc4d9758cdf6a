//! Names of keys. Every name is unambiguous, whatever the ids hold, braces included.

use plugrank_contract::{ItemId, UserId};

use crate::VectorSpace;

/// Makes the keys of one namespace.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    namespace: String,
}

impl Keys {
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    pub(super) fn schema(&self) -> Vec<u8> {
        self.key("schema", "")
    }

    pub(super) fn items(&self) -> Vec<u8> {
        self.key("items", "")
    }

    pub(super) fn item(&self, id: &ItemId) -> Vec<u8> {
        self.of_item("item", id)
    }

    pub(super) fn image(&self, id: &ItemId) -> Vec<u8> {
        self.of_item("image", id)
    }

    pub(super) fn stats(&self, id: &ItemId) -> Vec<u8> {
        self.of_item("stats", id)
    }

    pub(super) fn neighbours(&self, id: &ItemId) -> Vec<u8> {
        self.of_item("near", id)
    }

    pub(super) fn user(&self, id: &UserId) -> Vec<u8> {
        self.of_user("user", id)
    }

    pub(super) fn clicks(&self, id: &UserId) -> Vec<u8> {
        self.of_user("clicks", id)
    }

    pub(super) fn shown(&self, id: &UserId) -> Vec<u8> {
        self.of_user("shown", id)
    }

    /// Exposures of one user by one request. The user's length keeps apart ids that hold a brace.
    pub(super) fn exposure(&self, user: &UserId, request: &str) -> Vec<u8> {
        let length = user.as_str().len();
        self.key(&format!("exposure{length}"), &format!("{{u:{user}}}{request}"))
    }

    pub(super) fn event(&self, id: &str) -> Vec<u8> {
        self.key("event", id)
    }

    /// A vector's key. The version's length keeps apart versions that begin alike.
    pub(super) fn vector(&self, space: &VectorSpace, key: &[u8]) -> Vec<u8> {
        let (kind, version) = match space {
            VectorSpace::Modal(version) => ("m", version),
            VectorSpace::Record(version) => ("r", version),
        };
        let mut name = self.key("vector", &format!("{kind}:{}:{version}:", version.len()));
        name.extend_from_slice(key);
        name
    }

    // "i:" and "u:" inside the braces: an empty hash tag would be none.
    fn of_item(&self, kind: &str, id: &ItemId) -> Vec<u8> {
        self.key(kind, &format!("{{i:{id}}}"))
    }

    fn of_user(&self, kind: &str, id: &UserId) -> Vec<u8> {
        self.key(kind, &format!("{{u:{id}}}"))
    }

    fn key(&self, kind: &str, rest: &str) -> Vec<u8> {
        format!("{}:{kind}:{rest}", self.namespace).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The part of a key that decides its slot in a cluster (Redis cluster specification).
    fn hash_tag(key: &[u8]) -> &[u8] {
        let Some(open) = key.iter().position(|byte| *byte == b'{') else { return key };
        let rest = &key[open + 1..];
        match rest.iter().position(|byte| *byte == b'}') {
            None | Some(0) => key,
            Some(close) => &rest[..close],
        }
    }

    #[test]
    fn keys_of_a_user_or_an_item_share_a_slot() {
        let keys = Keys::new("ns");
        for id in ["u", "", "}", "{", "{}", "a}b{c}"] {
            let (user, item) = (UserId::from(id), ItemId::from(id));
            let users = [keys.clicks(&user), keys.shown(&user), keys.exposure(&user, "r}{")];
            assert!(users.iter().all(|key| hash_tag(key) == hash_tag(&keys.user(&user))), "{id}");
            assert!(hash_tag(&users[0]).starts_with(b"u:"));
            let items = [keys.image(&item), keys.stats(&item), keys.neighbours(&item)];
            assert!(items.iter().all(|key| hash_tag(key) == hash_tag(&keys.item(&item))), "{id}");
        }
    }

    #[test]
    fn no_two_things_share_a_key() {
        let keys = Keys::new("ns");
        let ids = ["", "a", "a}", "a}:", "}a", "{u:a}", ":", "1", "a}r", "r"];
        let mut all = vec![keys.schema(), keys.items()];
        for id in ids {
            let (user, item) = (UserId::from(id), ItemId::from(id));
            all.extend([keys.item(&item), keys.image(&item), keys.stats(&item)]);
            all.extend([keys.neighbours(&item), keys.event(id)]);
            all.extend([keys.user(&user), keys.clicks(&user), keys.shown(&user)]);
            for other in ids {
                all.push(keys.exposure(&user, other));
                all.push(keys.vector(&VectorSpace::Modal(id.into()), other.as_bytes()));
                all.push(keys.vector(&VectorSpace::Record(id.into()), other.as_bytes()));
            }
        }
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
