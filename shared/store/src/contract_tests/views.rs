//! Contract tests of user views. Each gets a fresh store.

use std::sync::Arc;

use plugrank_contract::{Event, EventType, HistoryEntry, HistoryLimits, UserView};

use super::{
    AnyStore,
    fixtures::{by, entry, event, user},
};

const ALL: HistoryLimits = HistoryLimits { clicks: 100, impressions: 100 };

async fn view(store: &AnyStore, before: i64, limits: HistoryLimits) -> Arc<UserView> {
    let view = store.user_view(&"u".into(), before, limits).await.unwrap();
    assert!(view.limits.cover(limits), "{:?} of {limits:?}", view.limits);
    let profile = view.profile.clone();
    let again = UserView::new("u".into(), profile, view.entries.clone(), view.limits);
    assert_eq!(again, *view, "its version is that of what it holds");
    view
}

async fn entries(store: &AnyStore, before: i64, limits: HistoryLimits) -> Vec<HistoryEntry> {
    view(store, before, limits).await.recent(limits).cloned().collect()
}

pub async fn a_view_is_profile_and_history(store: AnyStore) {
    let nobody = view(&store, i64::MAX, ALL).await;
    assert_eq!((&nobody.profile, &nobody.entries[..]), (&None, &[][..]));
    store.put_users(vec![user("u"), user("v")]).await.unwrap();
    let rows = vec![
        by("u", entry("a", true, 1)),
        by("u", entry("b", false, 2)),
        by("v", entry("c", true, 3)),
    ];
    store.put_history(rows).await.unwrap();
    // Twice: it may come from elsewhere the second time.
    for _ in 0..2 {
        let known = view(&store, i64::MAX, ALL).await;
        assert_eq!(known.profile.as_deref(), Some(&user("u")));
        assert_eq!(known.entries, [entry("b", false, 2), entry("a", true, 1)]);
        assert_ne!(known.version, nobody.version);
    }
}

pub async fn a_view_has_every_earlier_write(store: AnyStore) {
    let done = |id: &str, action: &str, timestamp| HistoryEntry {
        action: Some(action.into()),
        ..entry(id, action == "click", timestamp)
    };
    let mut versions = vec![view(&store, i64::MAX, ALL).await.version];
    let mut expect = async |entries: &[HistoryEntry], profile: bool| {
        let now = view(&store, i64::MAX, ALL).await;
        assert_eq!(now.entries, entries);
        assert_eq!(now.profile.is_some(), profile);
        assert!(!versions.contains(&now.version));
        versions.push(now.version);
    };
    store.append_events(vec![event("1", EventType::impression())]).await.unwrap();
    expect(&[done("i", "impression", 100)], false).await;
    // A click takes the impression's place.
    let click = Event { timestamp: 150, ..event("2", EventType::click()) };
    store.append_events(vec![click]).await.unwrap();
    expect(&[done("i", "click", 150)], false).await;
    store.put_users(vec![user("u")]).await.unwrap();
    expect(&[done("i", "click", 150)], true).await;
    let mut changed = user("u");
    changed.features.insert("city".into(), "x".into());
    store.put_users(vec![changed]).await.unwrap();
    expect(&[done("i", "click", 150)], true).await;
    store.put_history(vec![by("u", entry("j", false, 50))]).await.unwrap();
    expect(&[done("i", "click", 150), entry("j", false, 50)], true).await;
    // The same moment, clicked: the entry is another.
    store.put_history(vec![by("u", entry("j", true, 50))]).await.unwrap();
    expect(&[done("i", "click", 150), entry("j", true, 50)], true).await;
}

pub async fn a_view_has_the_requested_number_of_entries(store: AnyStore) {
    let mut rows: Vec<_> = (0..40).map(|at| by("u", entry("shown", false, at))).collect();
    rows.extend((0..9).map(|at| by("u", entry("clicked", true, at))));
    store.put_history(rows).await.unwrap();
    let all = [(0, 0), (1, 0), (0, 3), (5, 5), (2, 30), (50, 1), (3, 3), (50, 50)];
    for (clicks, impressions) in all {
        let limits = HistoryLimits { clicks, impressions };
        let expected = store.history(&"u".into(), i64::MAX, clicks, impressions).await.unwrap();
        assert_eq!(expected.entries.len(), clicks.min(9) + impressions.min(40));
        assert_eq!(entries(&store, i64::MAX, limits).await, expected.entries, "{limits:?}");
    }
}

pub async fn a_view_ends_before_its_time(store: AnyStore) {
    let limits = HistoryLimits { clicks: 2, impressions: 2 };
    let times = async |before| -> Vec<i64> {
        let view = view(&store, before, limits).await;
        assert!(view.newest().is_none_or(|newest| newest < before), "before {before}");
        view.recent(limits).map(|entry| entry.timestamp).collect()
    };
    let rows = (1..=9).map(|at| by("u", entry("i", at % 2 == 0, at * 10)));
    store.put_history(rows.collect()).await.unwrap();
    // Forward and backward: what is kept of one moment is not the answer for another.
    for before in [91, 90, 45, 10, i64::MIN, 45, 91, i64::MAX] {
        let expected = store.history(&"u".into(), before, 2, 2).await.unwrap();
        let expected: Vec<i64> = expected.entries.iter().map(|entry| entry.timestamp).collect();
        assert_eq!(times(before).await, expected, "before {before}");
    }
    assert_eq!(times(91).await, [90, 80, 70, 60]);
    // An event dated ahead is not seen until then.
    let ahead = Event { timestamp: 1_000_000, ..event("1", EventType::click()) };
    store.append_events(vec![ahead]).await.unwrap();
    assert_eq!(times(91).await, [90, 80, 70, 60]);
    assert_eq!(times(1_000_000).await, [90, 80, 70, 60]);
    assert_eq!(times(1_000_001).await, [1_000_000, 90, 80, 70]);
}
