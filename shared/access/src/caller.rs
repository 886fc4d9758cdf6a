//! Who is asking.

use std::time::SystemTime;

use crate::{Denied, Scope, ScopeSet, limits::Limits};

/// Who is asking: by a key, or by a token of the issuer.
#[derive(Debug)]
pub struct Caller {
    pub(crate) name: String,
    pub(crate) scopes: ScopeSet,
    pub(crate) limits: std::sync::Arc<Limits>,
    /// When it expires.
    pub(crate) expires: Option<SystemTime>,
}

impl Caller {
    /// The name of the key, or the subject of the token.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has a scope.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.allows(scope)
    }

    /// Counts a batch as the requests that it holds; the call itself was counted as one.
    ///
    /// # Errors
    /// When they are more than the caller may ask.
    pub fn count_batch(&self, requests: u32) -> Result<(), Denied> {
        self.limits.take_rest(&self.name, requests)
    }

    /// Lets it ask what needs one of `scopes`.
    pub(crate) fn ask(&self, scopes: &'static [Scope], now: SystemTime) -> Result<(), Denied> {
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Denied::Expired);
        }
        if !scopes.iter().any(|scope| self.may(*scope)) {
            return Err(Denied::Scope { caller: self.name.clone(), needs: scopes });
        }
        self.limits.take(&self.name)
    }
}
