//! What is known about a user.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer};

use crate::{FeatureValues, HistoryEntry, TimestampMs, UserId};

/// A user's profile.
///
/// ```
/// use plugrank_contract::{FeatureValues, User};
///
/// let features = FeatureValues::from([("age".to_owned(), 34.into())]);
/// let user = User { user_id: "ann".into(), features };
/// assert_eq!(user.features["age"].to_string(), "34");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Identifier.
    pub user_id: UserId,
    /// Columns of the data set, by name.
    pub features: FeatureValues,
}

/// How much of a history is read: the last clicked and the last not clicked entries.
///
/// ```
/// use plugrank_contract::HistoryLimits;
///
/// let retrieval = HistoryLimits { clicks: 1_000, impressions: 0 };
/// let scoring = HistoryLimits { clicks: 50, impressions: 50 };
/// // Read once for both.
/// let read = retrieval.union(scoring);
/// assert!(read.cover(retrieval) && read.cover(scoring));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLimits {
    /// Clicked entries.
    pub clicks: usize,
    /// Entries shown and not clicked.
    pub impressions: usize,
}

impl HistoryLimits {
    /// The greater of both, kind by kind.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            clicks: self.clicks.max(other.clicks),
            impressions: self.impressions.max(other.impressions),
        }
    }

    /// Whether a history read by these limits holds all that `other` asks for.
    #[must_use]
    pub fn cover(self, other: Self) -> bool {
        self.clicks >= other.clicks && self.impressions >= other.impressions
    }
}

/// What a stage learned of the user, for the stages after it.
///
/// ```
/// use std::sync::Arc;
///
/// use plugrank_contract::{HistoryLimits, UserRead, UserView};
///
/// let limits = HistoryLimits { clicks: 50, impressions: 50 };
/// let read = UserRead::Read(Arc::new(UserView::new("ann".into(), None, vec![], limits)));
/// assert!(matches!(read, UserRead::Read(view) if view.user_id.as_str() == "ann"));
/// assert_eq!(UserRead::default(), UserRead::NotRead);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserRead {
    /// The user has not been read yet.
    #[default]
    NotRead,
    /// The store did not answer; why. It is not asked again for this request.
    Failed(String),
    /// The user.
    Read(Arc<UserView>),
}

/// A user as one request sees them: profile and recent history, read once and handed from stage to
/// stage.
///
/// ```
/// use plugrank_contract::{HistoryEntry, HistoryLimits, UserView};
///
/// let limits = HistoryLimits { clicks: 50, impressions: 50 };
/// let entry = |id: &str, clicked, at| HistoryEntry::new(id.into(), clicked, at);
/// let entries = vec![entry("sofa", true, 3), entry("lamp", false, 2), entry("desk", true, 1)];
/// let view = UserView::new("ann".into(), None, entries, limits);
/// assert_eq!((view.newest(), view.clicks().count()), (Some(3), 2));
/// // A model that reads one click sees the newest.
/// let one = view.recent(HistoryLimits { clicks: 1, impressions: 0 });
/// assert_eq!(one.map(|entry| entry.item_id.as_str()).collect::<Vec<_>>(), ["sofa"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Who.
    pub user_id: UserId,
    /// The profile, where one was written.
    pub profile: Option<Arc<User>>,
    /// The last entries before the request, newest first; among equal timestamps the greater item
    /// id first. It may hold more than a reader asked for: see [`Self::recent`].
    #[serde(serialize_with = "entries_for_wire")]
    pub entries: Vec<HistoryEntry>,
    /// By which limits the history was read.
    #[serde(serialize_with = "limits_for_wire")]
    pub limits: HistoryLimits,
    /// Names this profile and these entries: two views of one user with the same version are alike.
    pub version: u64,
}

/// What of a history crosses a process border: as much as models usually read. A reader that wants
/// more sees it by the limits, and reads for itself.
const WIRE_LIMITS: HistoryLimits = HistoryLimits { clicks: 64, impressions: 64 };

impl UserView {
    /// A view, with its version worked out.
    #[must_use]
    pub fn new(
        user_id: UserId,
        profile: Option<Arc<User>>,
        entries: Vec<HistoryEntry>,
        limits: HistoryLimits,
    ) -> Self {
        let mut hash = foldhash::fast::FixedState::with_seed(0x7573_6572).build_hasher();
        if let Some(profile) = &profile {
            profile.features.hash(&mut hash);
        }
        for entry in &entries {
            entry.item_id.as_str().hash(&mut hash);
            (entry.clicked, entry.timestamp).hash(&mut hash);
            (entry.action.as_deref(), entry.value).hash(&mut hash);
        }
        Self { user_id, profile, entries, limits, version: hash.finish() }
    }

    /// The user with feature values over those of the profile.
    #[must_use]
    pub fn with_features(&self, over: &FeatureValues) -> Self {
        let stored = self.profile.iter().flat_map(|profile| &profile.features);
        let features = stored.chain(over).map(|(name, value)| (name.clone(), value.clone()));
        let profile = User { user_id: self.user_id.clone(), features: features.collect() };
        Self::new(self.user_id.clone(), Some(Arc::new(profile)), self.entries.clone(), self.limits)
    }

    /// The user with another history: all there is of it, newest first.
    #[must_use]
    pub fn with_history(&self, entries: &[HistoryEntry]) -> Self {
        let all = HistoryLimits { clicks: usize::MAX, impressions: usize::MAX };
        Self::new(self.user_id.clone(), self.profile.clone(), entries.to_vec(), all)
    }

    /// A user of whom nothing is known.
    #[must_use]
    pub fn unknown(user_id: UserId) -> Self {
        let limits = HistoryLimits { clicks: usize::MAX, impressions: usize::MAX };
        Self::new(user_id, None, Vec::new(), limits)
    }

    /// When the newest entry happened.
    #[must_use]
    pub fn newest(&self) -> Option<TimestampMs> {
        self.entries.first().map(|entry| entry.timestamp)
    }

    /// The last entries within `limits`, newest first.
    pub fn recent(&self, limits: HistoryLimits) -> impl Iterator<Item = &HistoryEntry> {
        recent(&self.entries, limits)
    }

    /// Clicked entries, newest first.
    pub fn clicks(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.entries.iter().filter(|entry| entry.clicked)
    }
}

fn recent(entries: &[HistoryEntry], limits: HistoryLimits) -> impl Iterator<Item = &HistoryEntry> {
    let HistoryLimits { mut clicks, mut impressions } = limits;
    entries.iter().filter(move |entry| {
        let left = if entry.clicked { &mut clicks } else { &mut impressions };
        let within = *left > 0;
        *left -= usize::from(within);
        within
    })
}

fn entries_for_wire<S: Serializer>(entries: &[HistoryEntry], to: S) -> Result<S::Ok, S::Error> {
    let kept: Vec<&HistoryEntry> = recent(entries, WIRE_LIMITS).collect();
    kept.serialize(to)
}

fn limits_for_wire<S: Serializer>(limits: &HistoryLimits, to: S) -> Result<S::Ok, S::Error> {
    let handed = HistoryLimits {
        clicks: limits.clicks.min(WIRE_LIMITS.clicks),
        impressions: limits.impressions.min(WIRE_LIMITS.impressions),
    };
    handed.serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(item: usize, clicked: bool) -> HistoryEntry {
        HistoryEntry::new(item.to_string().into(), clicked, 1_000 - item as i64)
    }

    #[test]
    fn a_user_view_is_cut_on_the_wire_and_reports_its_limits() {
        let limits = HistoryLimits { clicks: 1_000, impressions: 50 };
        let entries = (0..200).map(|item| entry(item, item % 2 == 0)).collect();
        let view = UserView::new("u".into(), None, entries, limits);
        let wire = postcard::to_stdvec(&view).unwrap();
        let handed: UserView = postcard::from_bytes(&wire).unwrap();
        assert_eq!(handed.limits, HistoryLimits { clicks: 64, impressions: 50 });
        assert_eq!((handed.version, handed.clicks().count()), (view.version, 64));
        assert!(handed.recent(WIRE_LIMITS).eq(view.recent(WIRE_LIMITS)));
        assert!(wire.len() < 4_096, "{} bytes", wire.len());
    }

    #[test]
    fn the_user_version_depends_on_every_part() {
        let limits = HistoryLimits::default();
        let user = || User { user_id: "u".into(), features: FeatureValues::new() };
        let version_of = |profile: Option<User>, entries: Vec<HistoryEntry>| {
            UserView::new("u".into(), profile.map(Arc::new), entries, limits).version
        };
        let mut other = user();
        other.features.insert("age".to_owned(), 30.into());
        let versions = [
            version_of(None, vec![]),
            version_of(Some(other), vec![]),
            version_of(None, vec![entry(1, true)]),
            version_of(None, vec![entry(1, false)]),
            version_of(None, vec![entry(2, true)]),
            version_of(None, vec![entry(1, true), entry(2, true)]),
            version_of(None, vec![HistoryEntry { action: Some("buy".into()), ..entry(1, true) }]),
            version_of(None, vec![HistoryEntry { value: Some(3_i64.into()), ..entry(1, true) }]),
        ];
        let distinct: std::collections::HashSet<u64> = versions.into_iter().collect();
        assert_eq!(distinct.len(), versions.len());
        assert_eq!(
            version_of(Some(user()), vec![entry(1, true)]),
            version_of(Some(user()), vec![entry(1, true)])
        );
    }
}
