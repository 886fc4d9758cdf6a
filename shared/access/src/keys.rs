//! The keys in force, found by what a caller shows.

use std::{collections::HashMap, sync::Arc};

use garde::Validate;

use crate::{
    Caller, Digest, LimitOptions,
    key_entry::{KeyEntries, KeyEntry, names},
    limits::Limits,
};

/// Keys by the first bytes of their digests.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_start: HashMap<[u8; 8], Vec<Key>>,
    count: usize,
}

#[derive(Debug)]
struct Key {
    entry: KeyEntry,
    caller: Arc<Caller>,
}

impl Keys {
    /// What is known of a key that stays is kept: what it has used of its limits.
    pub(crate) fn new(entries: KeyEntries, everybody: &LimitOptions, before: &Self) -> Self {
        let mut keys = Self { count: entries.len(), ..Self::default() };
        for (name, entry) in entries {
            let known = before.exact(&entry.sha256);
            let known = known.filter(|key| key.entry == entry && key.caller.name == name);
            let caller = known.map(|key| Arc::clone(&key.caller)).unwrap_or_else(|| {
                Arc::new(Caller {
                    name,
                    scopes: entry.scopes.iter().copied().collect(),
                    limits: Arc::new(Limits::new(&entry.limits(everybody))),
                    expires: entry.expiry(),
                })
            });
            keys.by_start.entry(entry.sha256.start()).or_default().push(Key { entry, caller });
        }
        keys
    }

    /// Whose key it is.
    pub(crate) fn find(&self, digest: &Digest) -> Option<&Arc<Caller>> {
        self.exact(digest).map(|key| &key.caller)
    }

    fn exact(&self, digest: &Digest) -> Option<&Key> {
        self.by_start.get(&digest.start())?.iter().find(|key| key.entry.sha256 == *digest)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// Keys out of the text of a file: one line each, `NAME = { … }`, or tables.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &[u8]) -> Result<KeyEntries, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("is no text: {error}"))?;
    let entries: KeyEntries = toml::from_str(text).map_err(|error| error.to_string())?;
    names(&entries, &()).map_err(|error| format!("must be {error}"))?;
    for (name, entry) in &entries {
        entry.validate().map_err(|report| format!("{name}: {report}"))?;
    }
    Ok(entries)
}

/// The keys of settings and file together.
///
/// # Errors
/// When a name or a key is in both, or a key has two names.
pub(crate) fn joined(settings: &KeyEntries, file: &KeyEntries) -> Result<KeyEntries, String> {
    let mut all = settings.clone();
    for (name, entry) in file {
        if all.insert(name.clone(), entry.clone()).is_some() {
            return Err(format!("the key {name} is in access.keys and in access.keys_file"));
        }
    }
    let mut owners: HashMap<Digest, &str> = HashMap::new();
    for (name, entry) in &all {
        if let Some(other) = owners.insert(entry.sha256, name) {
            return Err(format!("{other} and {name} are the same key; make one for each"));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{Denied, Scope};

    fn entries(text: &str) -> KeyEntries {
        read(text.as_bytes()).unwrap()
    }

    fn line(name: &str, key: &str, more: &str) -> String {
        format!("{name} = {{ scopes = [\"rank\"], sha256 = \"{}\"{more} }}\n", Digest::of_key(key))
    }

    #[test]
    fn a_key_is_found_by_its_digest() {
        let everybody = LimitOptions::default();
        let keys = Keys::new(
            entries(&(line("old", "k1", "") + &line("new", "k2", ""))),
            &everybody,
            &Keys::default(),
        );
        assert_eq!(keys.find(&Digest::of_key("k1")).unwrap().name(), "old");
        assert_eq!(keys.find(&Digest::of_key("k2")).unwrap().name(), "new");
        assert!(keys.find(&Digest::of_key("k3")).is_none());
    }

    #[test]
    fn a_key_kept_by_a_reload_keeps_its_usage() {
        let everybody = LimitOptions::default();
        let text = line("shop", "k", ", per_day = 1");
        let before = Keys::new(entries(&text), &everybody, &Keys::default());
        let ask = |keys: &Keys| {
            keys.find(&Digest::of_key("k")).unwrap().ask(&[Scope::Rank], SystemTime::now())
        };
        assert_eq!(ask(&before), Ok(()));
        let same = Keys::new(entries(&(text + &line("other", "o", ""))), &everybody, &before);
        assert!(matches!(ask(&same), Err(Denied::Quota { .. })));
        let changed = Keys::new(entries(&line("shop", "k", ", per_day = 2")), &everybody, &same);
        assert_eq!(ask(&changed), Ok(()));
    }

    #[test]
    fn problems_of_a_key_file_are_named() {
        let wrong = |text: &str| read(text.as_bytes()).unwrap_err();
        assert!(wrong("shop = 3").contains("shop"), "{}", wrong("shop = 3"));
        let scope = line("shop", "k", "").replace("rank", "ranks");
        assert!(wrong(&scope).contains("unknown variant `ranks`"), "{}", wrong(&scope));
        let none = line("shop", "k", "").replace("\"rank\"", "");
        assert!(wrong(&none).starts_with("shop: scopes"), "{}", wrong(&none));
        let digest = line("shop", "k", "").replace("sha256 = \"", "sha256 = \"x");
        assert!(wrong(&digest).contains("64 hexadecimal digits"), "{}", wrong(&digest));
        let (one, two) = (entries(&line("a", "k", "")), entries(&line("b", "k", "")));
        assert!(joined(&one, &one).unwrap_err().contains("is in access.keys and"));
        assert!(joined(&one, &two).unwrap_err().contains("are the same key"));
    }
}
