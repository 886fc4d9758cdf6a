//! How often features have a value, and one that the vocabulary has.

use std::sync::atomic::{AtomicU64, Ordering};

use plugrank_contract::{FeatureValues, HistoryEntry, Item, TimestampMs, User, UserId};

use super::{
    FeatureEncoder, Group, column::Found, column_of_entry, column_of_item, column_of_user,
    presence::Presence,
};

/// What was found of one feature so far.
///
/// ```
/// use plugrank_bundle::features::{Presence, Seen};
///
/// let mut seen = Seen::default();
/// for presence in [Presence::Known, Presence::Missing, Presence::Known, Presence::Unknown] {
///     seen.add(presence);
/// }
/// assert_eq!((seen.rows, seen.missing_share(), seen.unknown_share()), (4, 0.25, 0.25));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Items, users, requests or candidates looked at.
    pub rows: u64,
    /// Of these, without a value.
    pub missing: u64,
    /// Of these, with a value outside the vocabulary.
    pub unknown: u64,
}

impl Seen {
    /// One more.
    pub fn add(&mut self, presence: Presence) {
        self.rows += 1;
        match presence {
            Presence::Known => {}
            Presence::Unknown => self.unknown += 1,
            Presence::Missing => self.missing += 1,
        }
    }

    /// Share without a value; 0 where nothing was looked at.
    #[must_use]
    pub fn missing_share(&self) -> f64 {
        self.missing as f64 / self.rows.max(1) as f64
    }

    /// Share with a value outside the vocabulary.
    #[must_use]
    pub fn unknown_share(&self) -> f64 {
        self.unknown as f64 / self.rows.max(1) as f64
    }
}

/// The features of items, users, requests or candidates, each with what was found of it; counted by
/// many threads.
///
/// ```
/// use plugrank_bundle::features::{Presence, SeenFeatures};
///
/// let seen = SeenFeatures::new(2);
/// seen.add(1, Presence::Missing);
/// let missing: Vec<u64> = seen.read().map(|feature| feature.missing).collect();
/// assert_eq!(missing, [0, 1]);
/// ```
#[derive(Debug, Default)]
pub struct SeenFeatures(Vec<[AtomicU64; 3]>);

impl SeenFeatures {
    /// Of so many features.
    #[must_use]
    pub fn new(features: usize) -> Self {
        Self((0..features).map(|_| Default::default()).collect())
    }

    /// One more of the feature at this place.
    pub fn add(&self, feature: usize, presence: Presence) {
        if let Some(counts) = self.0.get(feature) {
            counts[presence as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was found of each.
    pub fn read(&self) -> impl Iterator<Item = Seen> {
        self.0.iter().map(|counts| {
            let [known, unknown, missing] =
                [0, 1, 2].map(|at: usize| counts[at].load(Ordering::Relaxed));
            Seen { rows: known + unknown + missing, missing, unknown }
        })
    }
}

impl FeatureEncoder {
    /// Tells what is found of each feature of an item, by the feature's place.
    pub fn see_item(&self, item: &Item, seen: impl FnMut(usize, Presence)) {
        self.item.see(|column| column_of_item(item, column), seen);
    }

    /// The same of an item of which the row alone is known, and of its numbers whether they are there: by the
    /// feature's place, `None` where that is not known either. Such a feature is passed over.
    pub fn see_item_row(
        &self,
        row: &[u32],
        has_number: impl Fn(usize) -> Option<bool>,
        mut seen: impl FnMut(usize, Presence),
    ) {
        for (place, (column, slot)) in self.item.columns.iter().zip(&self.item.slots).enumerate() {
            let cells = row.get(slot.cells()).unwrap_or_default();
            if let Some(presence) = column.presence_in(cells, || has_number(place)) {
                seen(place, presence);
            }
        }
    }

    /// The same of a user.
    pub fn see_user(&self, id: &UserId, user: Option<&User>, seen: impl FnMut(usize, Presence)) {
        self.user.see(|column| column_of_user(id, user, column), seen);
    }

    /// The same of a request of this moment.
    pub fn see_request(
        &self,
        given: &FeatureValues,
        at: TimestampMs,
        mut seen: impl FnMut(usize, Presence),
    ) {
        for (place, column) in self.request.columns.iter().enumerate() {
            let presence = match column.derive {
                // Its vocabulary has every hour and day.
                Some(derive) => match self.time.value_at(at, derive) {
                    Some(_) => Presence::Known,
                    None => Presence::Missing,
                },
                None => column.presence(given.get(&column.column).into()),
            };
            seen(place, presence);
        }
    }

    /// The same of an entry of a history: its action and its value.
    pub fn see_entry(&self, entry: &HistoryEntry, seen: impl FnMut(usize, Presence)) {
        self.history.see(|column| column_of_entry(entry, column), seen);
    }

    /// The same of what is given of a candidate.
    pub fn see_candidate(&self, given: &FeatureValues, seen: impl FnMut(usize, Presence)) {
        self.candidate.see(|column| Found::from(given.get(&column.column)), seen);
    }
}

impl Group {
    fn see<'a>(
        &self,
        found: impl Fn(&super::Column) -> Found<'a>,
        mut seen: impl FnMut(usize, Presence),
    ) {
        for (place, column) in self.columns.iter().enumerate() {
            seen(place, column.presence(found(column)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_shares_are_of_the_inspected_values() {
        let seen = SeenFeatures::new(2);
        for presence in [Presence::Known, Presence::Missing, Presence::Unknown, Presence::Known] {
            seen.add(1, presence);
        }
        seen.add(9, Presence::Known);
        let found: Vec<Seen> = seen.read().collect();
        assert_eq!(found[0], Seen::default());
        assert_eq!(found[1], Seen { rows: 4, missing: 1, unknown: 1 });
        assert_eq!((found[1].missing_share(), found[0].unknown_share()), (0.25, 0.0));
    }
}
