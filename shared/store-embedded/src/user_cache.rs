//! Views of users in memory.

use std::{hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use plugrank_contract::{HistoryEntry, HistoryLimits, TimestampMs, User, UserId, UserView};
use quick_cache::{Weighter, sync::Cache};

/// Locks, and counts of writes, that users are spread over. A write stops the fills of the readers
/// it overtook among its stripe's users, and of no others.
const STRIPES: usize = 256;

/// Bytes of a usual view: what the number of places is guessed by.
const TYPICAL_BYTES: u64 = 4096;

/// Users as they are after everything confirmed: profile and history up to the end of time. Bounded
/// in bytes; never older than the last write it was told about.
///
/// A reader that found nothing may read the file, be overtaken by a write, and only then fill the
/// cache. So it takes a [`Stamp`] before it reads, and what it read is not kept when a write of a
/// user of the stripe came between.
#[derive(Debug)]
pub(crate) struct UserCache {
    views: Cache<UserId, Arc<UserView>, ViewBytes>,
    /// Writes so far, by stripe. Fills hold the lock for reading, writes for writing, so that no
    /// fill slips in between.
    writes: Box<[RwLock<u64>]>,
    hasher: RandomState,
}

/// When a reader began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl UserCache {
    /// A cache of at most about `bytes`; with 0 it keeps nothing.
    pub(crate) fn new(bytes: u64) -> Self {
        let users = (bytes / TYPICAL_BYTES) as usize;
        let views = Cache::with_weighter(users, bytes, ViewBytes);
        let writes = (0..STRIPES).map(|_| RwLock::new(0)).collect();
        Self { views, writes, hasher: RandomState::default() }
    }

    /// A user's view, of any limits.
    pub(crate) fn get(&self, user: &UserId) -> Option<Arc<UserView>> {
        self.views.get(user)
    }

    /// To be taken before reading the file.
    pub(crate) fn stamp(&self, user: &UserId) -> Stamp {
        Stamp(*self.stripe(user).read())
    }

    /// Keeps a view read since `stamp`, in place of the one that is there.
    pub(crate) fn fill(&self, stamp: Stamp, view: &Arc<UserView>) {
        let writes = self.stripe(&view.user_id).read();
        if *writes == stamp.0 {
            self.views.insert(view.user_id.clone(), Arc::clone(view));
        }
    }

    /// Forgets users that were written.
    pub(crate) fn forget(&self, users: &[UserId]) {
        for user in users {
            let mut writes = self.stripe(user).write();
            *writes += 1;
            self.views.remove(user);
        }
    }

    fn stripe(&self, user: &UserId) -> &RwLock<u64> {
        &self.writes[self.hasher.hash_one(user) as usize % STRIPES]
    }
}

/// Whether a view up to the end of time is also the one before a moment, by some limits.
pub(crate) fn answers(view: &UserView, before: TimestampMs, limits: HistoryLimits) -> bool {
    view.limits.cover(limits) && view.newest().is_none_or(|newest| newest < before)
}

/// Weighs a view by its bytes.
#[derive(Clone, Debug)]
struct ViewBytes;

impl Weighter<UserId, Arc<UserView>> for ViewBytes {
    fn weight(&self, _: &UserId, view: &Arc<UserView>) -> u64 {
        weight(view)
    }
}

/// About the bytes a view takes, with its place in the cache.
fn weight(view: &UserView) -> u64 {
    /// What an id's text takes beside its bytes: two counts, and the allocator's part.
    const ID: usize = 2 * size_of::<usize>() + 8;
    const STRING: usize = size_of::<String>() + 8;
    /// What the cache keeps of an entry beside key and value.
    const PLACE: usize = 200;
    let entries = view.entries.iter().map(|entry| {
        let action = entry.action.as_ref().map_or(0, |action| action.len() + ID);
        entry.item_id.as_str().len() + ID + action
    });
    let history = view.entries.capacity() * size_of::<HistoryEntry>() + entries.sum::<usize>();
    let profile = view.profile.as_ref().map_or(0, |profile| {
        let features = profile.features.iter();
        let bytes = features.map(|(name, value)| name.len() + value.heap_bytes() + 2 * STRING);
        size_of::<User>() + bytes.sum::<usize>()
    });
    let user = size_of::<UserView>() + view.user_id.as_str().len() + ID;
    (PLACE + user + history + profile) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HistoryLimits = HistoryLimits { clicks: 4, impressions: 4 };

    fn view(user: &str, item: &str) -> Arc<UserView> {
        let entry = HistoryEntry::new(item.into(), true, 1);
        Arc::new(UserView::new(user.into(), None, vec![entry], LIMITS))
    }

    #[test]
    fn a_read_overtaken_by_a_write_does_not_fill_the_cache() {
        let cache = UserCache::new(1 << 20);
        let user = UserId::from("u");
        let stamp = cache.stamp(&user);
        let read_before = view("u", "old");
        cache.forget(std::slice::from_ref(&user));
        cache.fill(stamp, &read_before);
        assert_eq!(cache.get(&user), None);
        cache.fill(cache.stamp(&user), &view("u", "new"));
        assert_eq!(cache.get(&user), Some(view("u", "new")));
        cache.forget(std::slice::from_ref(&user));
        assert_eq!(cache.get(&user), None);
    }

    #[test]
    fn writes_of_other_users_do_not_prevent_filling_the_cache() {
        let cache = UserCache::new(1 << 20);
        let user = UserId::from("u");
        let others: Vec<UserId> = (0..200)
            .map(|number| UserId::from(format!("{number}")))
            .filter(|other| !std::ptr::eq(cache.stripe(other), cache.stripe(&user)))
            .collect();
        assert!(others.len() > 150, "users lie on many stripes");
        let stamp = cache.stamp(&user);
        cache.forget(&others);
        cache.fill(stamp, &view("u", "a"));
        assert!(cache.get(&user).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let cache = UserCache::new(100_000);
        for number in 0..10_000 {
            let user = number.to_string();
            cache.fill(cache.stamp(&user.as_str().into()), &view(&user, "item"));
        }
        assert!(cache.views.weight() <= 100_000, "{}", cache.views.weight());
        assert!(cache.views.len() > 100);

        let long = vec![view("u", "item").entries[0].clone(); 1000];
        let long = UserView::new("u".into(), None, long, LIMITS);
        assert!(weight(&long) > 30 * weight(&view("u", "item")), "a history weighs by its length");
    }

    #[test]
    fn without_memory_nothing_is_cached() {
        let cache = UserCache::new(0);
        cache.fill(cache.stamp(&"u".into()), &view("u", "a"));
        assert_eq!(cache.get(&"u".into()), None);
    }

    #[test]
    fn a_cached_view_serves_times_after_its_newest_entry() {
        let view = view("u", "a");
        assert!(answers(&view, 2, LIMITS));
        assert!(!answers(&view, 1, LIMITS), "the entry at 1 is not strictly before");
        assert!(!answers(&view, 2, HistoryLimits { clicks: 5, impressions: 0 }));
        assert!(answers(&UserView::new("u".into(), None, vec![], LIMITS), i64::MIN, LIMITS));
    }
}
