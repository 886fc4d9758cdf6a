//! What a caller may do.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A group of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Rankings, similar items, reading items; graphs by the Open Inference Protocol.
    Rank,
    /// Reporting events.
    Events,
    /// Writing items.
    Items,
    /// Reading `/metrics`, where it asks for a key.
    Metrics,
    /// Everything, and alone: users, models, experiments, forced arms, the port for operators.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rank, Self::Events, Self::Items, Self::Metrics, Self::Admin];

    /// As settings and tokens have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Events => "events",
            Self::Items => "items",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no scope; there are {all}")
        })
    }
}

/// Scopes of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeSet(u8);

impl ScopeSet {
    /// Whether a scope is among them, or `admin`, which includes all.
    #[must_use]
    pub fn allows(self, scope: Scope) -> bool {
        self.0 & (bit(scope) | bit(Scope::Admin)) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | bit(scope)))
    }
}

const fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_includes_all_scopes_and_others_only_themselves() {
        let admin = ScopeSet::from_iter([Scope::Admin]);
        assert!(Scope::ALL.into_iter().all(|scope| admin.allows(scope)));
        for one in [Scope::Rank, Scope::Events, Scope::Items, Scope::Metrics] {
            let set = ScopeSet::from_iter([one]);
            let allowed: Vec<Scope> =
                Scope::ALL.into_iter().filter(|scope| set.allows(*scope)).collect();
            assert_eq!(allowed, [one]);
        }
        assert!(ScopeSet::default().is_empty());
    }

    #[test]
    fn scopes_round_trip() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        let error = "ranks".parse::<Scope>().unwrap_err();
        assert!(error.contains("rank, events, items, metrics, admin"), "{error}");
    }
}
