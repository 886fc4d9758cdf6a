//! Lets callers in.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use plugrank_runtime::WatchedFile;

use crate::{
    AccessOptions, Caller, Denied, Digest, Scope,
    key_entry::KeyEntries,
    keys::{self, Keys},
    tokens::Tokens,
};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who may ask what in this process. Clones share it.
#[derive(Clone, Debug)]
pub struct Gate(Option<Arc<Guarded>>);

#[derive(Debug)]
struct Guarded {
    options: AccessOptions,
    keys: ArcSwap<Keys>,
    file: Option<WatchedFile<KeyEntries>>,
    tokens: Option<Tokens>,
}

impl Gate {
    /// One that lets everybody do everything.
    #[must_use]
    pub fn open_to_all() -> Self {
        Self(None)
    }

    /// The one of the settings.
    ///
    /// # Errors
    /// When a file that they name cannot be used.
    pub fn new(options: &AccessOptions) -> Result<Self, String> {
        if !options.asks() {
            return Ok(Self::open_to_all());
        }
        let file = options.keys_file.as_deref();
        let file = file.map(|path| WatchedFile::open("access.keys_file", path, keys::read));
        let guarded = Guarded {
            options: options.clone(),
            keys: ArcSwap::default(),
            file: file.transpose()?,
            tokens: Tokens::new(options)?,
        };
        guarded.gather()?;
        Ok(Self(Some(Arc::new(guarded))))
    }

    /// Whether anybody is asked anything.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.0.is_some()
    }

    /// The caller of what needs one of `scopes`; `None` without authentication, or for what is open to
    /// all, which has no scopes. `authorization` is the header of that name.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn admit(
        &self,
        authorization: Option<&[u8]>,
        scopes: &'static [Scope],
    ) -> Result<Option<Arc<Caller>>, Denied> {
        let Some(guarded) = self.0.as_deref().filter(|_| !scopes.is_empty()) else {
            return Ok(None);
        };
        let now = SystemTime::now();
        let caller = guarded.caller(bearer(authorization)?, now)?;
        caller.ask(scopes, now)?;
        Ok(Some(caller))
    }

    /// Reads the files of the settings again whenever they change, without end.
    pub async fn follow(self) {
        let Some(guarded) = self.0 else { return std::future::pending().await };
        let mut turns = tokio::time::interval(LOOK_EVERY);
        loop {
            turns.tick().await;
            guarded.refresh().await;
        }
    }

    /// Reads the files again now, as far as they have changed.
    pub async fn refresh(&self) {
        if let Some(guarded) = &self.0 {
            guarded.refresh().await;
        }
    }
}

impl Guarded {
    fn caller(&self, shown: &str, now: SystemTime) -> Result<Arc<Caller>, Denied> {
        let digest = Digest::of_key(shown);
        if let Some(caller) = self.keys.load().find(&digest) {
            return Ok(Arc::clone(caller));
        }
        match &self.tokens {
            // Three parts with points between: no key of ours.
            Some(tokens) if shown.matches('.').count() == 2 => tokens.caller(shown, digest, now),
            _ => Err(Denied::Unknown),
        }
    }

    /// Puts the keys of settings and file together.
    fn gather(&self) -> Result<(), String> {
        let file = self.file.as_ref().map(WatchedFile::get);
        let none = KeyEntries::new();
        let all = keys::joined(&self.options.keys, file.as_deref().unwrap_or(&none))?;
        let keys = Keys::new(all, &self.options.limits, &self.keys.load());
        tracing::info!(keys = keys.len(), "API keys");
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    async fn refresh(&self) {
        let changed = match &self.file {
            Some(file) => file.refresh().await,
            None => false,
        };
        if changed && let Err(error) = self.gather() {
            tracing::error!(error, "the keys before stay in force");
        }
        if let Some(tokens) = &self.tokens {
            tokens.refresh().await;
        }
    }
}

/// What stands behind `Bearer` in a header `Authorization`.
pub(crate) fn bearer(authorization: Option<&[u8]>) -> Result<&str, Denied> {
    let header = authorization.ok_or(Denied::Missing)?;
    let header = std::str::from_utf8(header).map_err(|_| Denied::Scheme)?;
    let (scheme, shown) = header.trim().split_once(' ').ok_or(Denied::Scheme)?;
    let shown = shown.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || shown.is_empty() || shown.contains(' ') {
        return Err(Denied::Scheme);
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{KeyEntry, new_key};

    fn options(keys: &[(&str, KeyEntry)]) -> AccessOptions {
        let keys = keys.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone()));
        AccessOptions { keys: keys.collect(), ..AccessOptions::default() }
    }

    fn shown(key: &str) -> Vec<u8> {
        format!("Bearer {key}").into_bytes()
    }

    fn entry(key: &str) -> KeyEntry {
        KeyEntry::new(Digest::of_key(key), vec![Scope::Rank])
    }

    const RANK: &[Scope] = &[Scope::Rank];

    #[test]
    fn without_keys_requests_are_unauthenticated() {
        let gate = Gate::new(&AccessOptions::default()).unwrap();
        assert!(!gate.asks());
        assert!(gate.admit(None, RANK).unwrap().is_none());
    }

    #[test]
    fn a_key_grants_its_scopes() {
        let key = new_key().unwrap();
        let gate = Gate::new(&options(&[("shop", entry(&key))])).unwrap();
        let caller = gate.admit(Some(&shown(&key)), RANK).unwrap().unwrap();
        assert_eq!((caller.name(), caller.may(Scope::Admin)), ("shop", false));
        let either: &[Scope] = &[Scope::Items, Scope::Rank];
        assert!(gate.admit(Some(&shown(&key)), either).is_ok());
        let refused = gate.admit(Some(&shown(&key)), &[Scope::Items]).unwrap_err();
        assert_eq!(refused, Denied::Scope { caller: "shop".into(), needs: &[Scope::Items] });
        assert!(gate.admit(None, &[]).unwrap().is_none(), "what is open needs no key");
        for (header, denied) in [
            (None, Denied::Missing),
            (Some(&b"Basic dTpw"[..]), Denied::Scheme),
            (Some(b"Bearer"), Denied::Scheme),
            (Some(b"Bearer a b"), Denied::Scheme),
            (Some(b"Bearer \xff"), Denied::Scheme),
            (Some(b"Bearer plugrank_no"), Denied::Unknown),
            (Some(b"bearer a.b.c"), Denied::Unknown),
        ] {
            assert_eq!(gate.admit(header, RANK).unwrap_err(), denied);
        }
    }

    #[test]
    fn a_key_expires_at_its_time() {
        let ended = KeyEntry { expires: Some("2020-01-01T00:00:00Z".into()), ..entry("k") };
        let lasts = KeyEntry { expires: Some("2999-01-01T00:00:00Z".into()), ..entry("l") };
        let gate = Gate::new(&options(&[("old", ended), ("new", lasts)])).unwrap();
        assert_eq!(gate.admit(Some(&shown("k")), RANK).unwrap_err(), Denied::Expired);
        assert!(gate.admit(Some(&shown("l")), RANK).is_ok());
    }

    #[tokio::test]
    async fn a_key_file_is_reloaded_and_an_invalid_one_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let line = |name: &str, key: &str| {
            let digest = Digest::of_key(key);
            format!("{name} = {{ scopes = [\"rank\"], sha256 = \"{digest}\" }}\n")
        };
        fs::write(&path, line("old", "k1")).unwrap();
        let mut options = options(&[("settings", entry("k0"))]);
        options.keys_file = Some(path.clone());
        let gate = Gate::new(&options).unwrap();
        let known = |key: &str| gate.admit(Some(&shown(key)), RANK).is_ok();
        assert!(known("k0") && known("k1") && !known("k2"));
        // Both keys are valid during a rotation; then one.
        fs::write(&path, line("old", "k1") + &line("new", "k2")).unwrap();
        gate.refresh().await;
        assert!(known("k0") && known("k1") && known("k2"));
        fs::write(&path, line("new", "k2")).unwrap();
        gate.refresh().await;
        assert!(known("k0") && !known("k1") && known("k2"));
        for broken in ["new = 3".to_owned(), line("settings", "k3"), line("other", "k0")] {
            fs::write(&path, broken).unwrap();
            gate.refresh().await;
            assert!(known("k0") && !known("k1") && known("k2") && !known("k3"));
        }
        fs::remove_file(&path).unwrap();
        gate.refresh().await;
        assert!(known("k0") && known("k2"));
    }

    #[test]
    fn an_unusable_key_file_is_named_at_start() {
        let mut options = options(&[]);
        options.keys_file = Some("/nowhere/keys.toml".into());
        let error = Gate::new(&options).unwrap_err();
        assert!(
            error.contains("/nowhere/keys.toml") && error.contains("access.keys_file"),
            "{error}"
        );
    }
}
