//! Items, users, events and histories, each read as they were written.

use std::collections::BTreeSet;

use crate::{Decayed, ItemStats, NewItem, VectorSpace, content_hash};
use plugrank_contract::{
    Event, EventType, Feedback, HistoryEntry, Item, ItemId, UserId, feature::Number,
};

use super::{
    AnyStore,
    fixtures::{by, entry, event, ids, item, new_item, user},
};

pub(super) async fn history(store: &AnyStore, user: &str) -> Vec<(String, bool, i64)> {
    let history = store.history(&user.into(), i64::MAX, 1000, 1000).await.unwrap();
    history
        .entries
        .into_iter()
        .map(|entry| (entry.item_id.to_string(), entry.clicked, entry.timestamp))
        .collect()
}

pub(super) async fn stats(store: &AnyStore, id: &str) -> (u64, u64) {
    let stats = store.item_stats(&ids(&[id])).await.unwrap();
    (stats[0].impressions, stats[0].clicks)
}

pub async fn items_read_back_as_written(store: AnyStore) {
    let image = vec![0xff, 0xd8, 0, 1];
    let bare = Item {
        title: String::new(),
        text: String::new(),
        categories: vec![],
        created_at: None,
        available: false,
        features: Default::default(),
        ..item("bare")
    };
    let pictured = NewItem { item: item("b"), image: Some(image.clone()) };
    let bare_item = NewItem { item: bare.clone(), image: None };
    store.put_items(vec![new_item("a"), pictured, bare_item]).await.unwrap();

    // Any order, and repeated.
    {
        let wanted = ids(&["b", "no", "a", "bare", "a"]);
        let found = store.items(&wanted).await.unwrap();
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found[0].unwrap().item.image_hash, Some(*blake3(&image).as_bytes()));
        assert_eq!(found[1], None);
        assert_eq!(found[2].unwrap().item, item("a"));
        assert_eq!(found[2].unwrap().content, content_hash(&item("a")));
        assert_eq!(found[3].unwrap().item, bare);
        assert_eq!(found[4], found[2]);
        let pictured = found[0].unwrap();
        assert_eq!(pictured.content, content_hash(&pictured.item));
    }
    let images = store.images(&ids(&["a", "b", "no"])).await.unwrap();
    assert_eq!(images, [None, Some(image), None]);
    assert_eq!(store.item_count().await.unwrap(), 3);
}

fn blake3(bytes: &[u8]) -> blake3::Hash {
    blake3::hash(bytes)
}

pub async fn an_item_is_replaced_whole(store: AnyStore) {
    let pictured = NewItem { item: item("a"), image: Some(vec![1]) };
    store.put_items(vec![pictured]).await.unwrap();
    let before = store.items(&ids(&["a"])).await.unwrap();
    // A stale hash sent by the caller is not believed.
    let renamed = Item { title: "New".into(), image_hash: Some([9; 32]), ..item("a") };
    store.put_items(vec![NewItem { item: renamed, image: None }]).await.unwrap();
    let after = store.items(&ids(&["a"])).await.unwrap();
    let (before, after) = (before[0].as_deref().unwrap(), after[0].as_deref().unwrap());
    assert_eq!(after.item.title, "New");
    assert_eq!(after.item.image_hash, None);
    assert_ne!(after.content, before.content);
    assert_eq!(store.images(&ids(&["a"])).await.unwrap(), [None]);
    assert_eq!(store.item_count().await.unwrap(), 1);
}

pub async fn the_last_of_repeated_items_is_stored(store: AnyStore) {
    let titled = |title: &str, image: Option<Vec<u8>>| NewItem {
        item: Item { title: title.into(), ..item("a") },
        image,
    };
    let items = vec![titled("first", Some(vec![1])), new_item("b"), titled("last", None)];
    store.put_items(items).await.unwrap();
    let found = store.items(&ids(&["a"])).await.unwrap();
    assert_eq!(found[0].as_deref().unwrap().item.title, "last");
    assert_eq!(store.images(&ids(&["a"])).await.unwrap(), [None]);
    assert_eq!(store.item_count().await.unwrap(), 2);
}

pub async fn deleted_items_are_gone(store: AnyStore) {
    let pictured = NewItem { item: item("a"), image: Some(vec![1]) };
    store.put_items(vec![pictured, new_item("b")]).await.unwrap();
    store
        .append_events(vec![Event { item_id: "a".into(), ..event("1", EventType::click()) }])
        .await
        .unwrap();
    assert!(store.items(&ids(&["a"])).await.unwrap()[0].is_some());
    store.delete_items(&ids(&["a", "never there"])).await.unwrap();
    assert_eq!(store.items(&ids(&["a"])).await.unwrap(), [None]);
    assert_eq!(store.images(&ids(&["a"])).await.unwrap(), [None]);
    assert_eq!(store.item_count().await.unwrap(), 1);
    assert_eq!(store.scan_items(None, 10).await.unwrap().len(), 1);
    // What happened with it stays known.
    assert_eq!(stats(&store, "a").await, (1, 1));
}

pub async fn a_scan_sees_every_item_once(store: AnyStore) {
    let mut expected: Vec<String> = (0..95).map(|number| format!("{number}")).collect();
    expected.extend(["".into(), "é".into(), "a/b{c}".into()]);
    store.put_items(expected.iter().map(|id| new_item(id)).collect()).await.unwrap();
    for page_size in [1, 7, 98, 1000] {
        let mut seen = Vec::new();
        let mut after: Option<ItemId> = None;
        loop {
            let page = store.scan_items(after.as_ref(), page_size).await.unwrap();
            assert!(page.len() <= page_size);
            let Some(last) = page.last() else { break };
            after = Some(last.item.item_id.clone());
            seen.extend(page.iter().map(|stored| stored.item.item_id.to_string()));
            // Deleting where the scan stands does not disturb it.
            if page_size == 7 {
                store.delete_items(std::slice::from_ref(&last.item.item_id)).await.unwrap();
                store.put_items(vec![new_item(last.item.item_id.as_str())]).await.unwrap();
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), seen.len(), "twice");
        let mut expected = expected.clone();
        expected.sort();
        assert_eq!(sorted, expected);
    }
    assert_eq!(store.scan_items(None, 0).await.unwrap(), []);
}

pub async fn users_read_back_and_are_replaced(store: AnyStore) {
    assert_eq!(store.user(&"u".into()).await.unwrap(), None);
    store.put_users(vec![user("u"), user("v")]).await.unwrap();
    assert_eq!(store.user(&"u".into()).await.unwrap().as_deref(), Some(&user("u")));
    let mut changed = user("u");
    changed.features.insert("city".into(), "x".into());
    store.put_users(vec![user("u"), changed.clone()]).await.unwrap();
    assert_eq!(store.user(&"u".into()).await.unwrap().as_deref(), Some(&changed));
    assert_eq!(store.user(&"v".into()).await.unwrap().as_deref(), Some(&user("v")));
}

pub async fn an_event_counts_once(store: AnyStore) {
    let batch = vec![event("1", EventType::click()), event("1", EventType::click())];
    assert_eq!(store.append_events(batch).await.unwrap(), [true, false]);
    assert_eq!(store.append_events(vec![event("1", EventType::click())]).await.unwrap(), [false]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 100)]);
    assert_eq!(stats(&store, "i").await, (1, 1));
}

pub async fn an_event_id_belongs_to_one_event_of_a_user(store: AnyStore) {
    let other = Event { item_id: "j".into(), timestamp: 5, ..event("1", EventType::impression()) };
    store.append_events(vec![event("1", EventType::click())]).await.unwrap();
    assert_eq!(store.append_events(vec![other.clone()]).await.unwrap(), [false]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 100)]);
    assert_eq!(stats(&store, "j").await, (0, 0));
    // Another user's events are none of this one's, whatever ids they have.
    let theirs = Event { user_id: "v".into(), ..other };
    assert_eq!(store.append_events(vec![theirs]).await.unwrap(), [true]);
    assert_eq!(history(&store, "v").await, [("j".into(), false, 5)]);
    assert_eq!(stats(&store, "j").await, (1, 0));
}

pub async fn a_click_takes_the_place_of_its_impression(store: AnyStore) {
    let click = Event { timestamp: 150, ..event("2", EventType::click()) };
    store.append_events(vec![event("1", EventType::impression())]).await.unwrap();
    assert_eq!(history(&store, "u").await, [("i".into(), false, 100)]);
    assert_eq!(stats(&store, "i").await, (1, 0));
    assert_eq!(store.append_events(vec![click]).await.unwrap(), [true]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 150)]);
    assert_eq!(stats(&store, "i").await, (1, 1));
    // Another click, another impression of the same exposure: logged, nothing more.
    let again = vec![
        Event { timestamp: 160, ..event("3", EventType::click()) },
        Event { timestamp: 170, ..event("4", EventType::impression()) },
    ];
    assert_eq!(store.append_events(again).await.unwrap(), [true, true]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 150)]);
    assert_eq!(stats(&store, "i").await, (1, 1));
}

pub async fn a_click_may_come_first(store: AnyStore) {
    let click = Event { timestamp: 150, ..event("2", EventType::click()) };
    let batch = vec![click, event("1", EventType::impression())];
    assert_eq!(store.append_events(batch).await.unwrap(), [true, true]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 150)]);
    assert_eq!(stats(&store, "i").await, (1, 1));
}

pub async fn requests_items_and_users_are_separate(store: AnyStore) {
    // Ids chosen so that keys concatenated without separators would be equal.
    let batch = vec![
        event("1", EventType::impression()),
        Event { request_id: Some("r2".into()), timestamp: 200, ..event("2", EventType::click()) },
        Event { item_id: "i2".into(), timestamp: 300, ..event("3", EventType::click()) },
        Event {
            user_id: "ur".into(),
            request_id: Some("".into()),
            ..event("4", EventType::click())
        },
        Event {
            user_id: "".into(),
            request_id: Some("ur".into()),
            ..event("5", EventType::click())
        },
        Event { user_id: "u}:x".into(), ..event("6", EventType::click()) },
        Event { user_id: "}".into(), ..event("7", EventType::click()) },
    ];
    assert_eq!(store.append_events(batch).await.unwrap(), [true; 7]);
    let expected = [("i2", true, 300), ("i", true, 200), ("i", false, 100)];
    assert_eq!(history(&store, "u").await, expected.map(|(a, b, c)| (a.to_owned(), b, c)));
    for user in ["ur", "", "u}:x", "}"] {
        assert_eq!(history(&store, user).await, [("i".into(), true, 100)], "{user}");
    }
    assert_eq!(stats(&store, "i").await, (6, 5));
    assert_eq!(stats(&store, "i2").await, (1, 1));
}

pub async fn events_without_request_are_separate(store: AnyStore) {
    let alone =
        |id: &str, kind, timestamp| Event { request_id: None, timestamp, ..event(id, kind) };
    let batch = vec![
        alone("1", EventType::impression(), 100),
        alone("2", EventType::click(), 150),
        // The same moment: one entry, clicked, whichever came first.
        alone("3", EventType::click(), 100),
        alone("4", EventType::impression(), 150),
    ];
    assert_eq!(store.append_events(batch).await.unwrap(), [true; 4]);
    assert_eq!(history(&store, "u").await, [("i".into(), true, 150), ("i".into(), true, 100)]);
    assert_eq!(stats(&store, "i").await, (4, 2));
}

pub async fn action_and_value_come_from_the_event_of_greatest_weight(store: AnyStore) {
    let purchase = EventType { name: "buy".into(), feedback: Feedback::Positive, weight: 4.0 };
    let bought = |id: &str, request: Option<&str>, timestamp| Event {
        value: Some(19.99),
        request_id: request.map(str::to_owned),
        timestamp,
        ..event(id, purchase.clone())
    };
    let told = async || {
        let history = store.history(&"u".into(), i64::MAX, 9, 9).await.unwrap();
        let summary = |entry: HistoryEntry| {
            let action = entry.action.map(|action| action.to_string()).unwrap_or_default();
            (entry.clicked, entry.timestamp, action, entry.value.map(Number::as_f64))
        };
        history.entries.into_iter().map(summary).collect::<Vec<_>>()
    };
    let at = |timestamp, kind| Event { timestamp, ..event(&format!("{timestamp}"), kind) };
    store.append_events(vec![at(100, EventType::impression())]).await.unwrap();
    assert_eq!(told().await, [(false, 100, "impression".to_owned(), None)]);
    store.append_events(vec![at(110, EventType::click())]).await.unwrap();
    assert_eq!(told().await, [(true, 110, "click".to_owned(), None)]);
    // It takes the click's place, at the click's time; a further click does not take it back.
    store.append_events(vec![bought("b", Some("r"), 120)]).await.unwrap();
    store.append_events(vec![at(130, EventType::click())]).await.unwrap();
    assert_eq!(told().await, [(true, 110, "buy".to_owned(), Some(19.99))]);
    // Without a request it stands alone. Bulk entries tell as much as they know.
    store.append_events(vec![bought("c", None, 140)]).await.unwrap();
    store.put_history(vec![by("u", entry("i", false, 150))]).await.unwrap();
    let hidden = HistoryEntry {
        action: Some("hide".into()),
        value: Some(3_i64.into()),
        ..entry("i", false, 150)
    };
    for _ in 0..2 {
        store.put_history(vec![by("u", hidden.clone())]).await.unwrap();
        store.put_history(vec![by("u", entry("i", false, 150))]).await.unwrap();
    }
    let expected = [
        (false, 150, "hide".to_owned(), Some(3.0)),
        (true, 140, "buy".to_owned(), Some(19.99)),
        (true, 110, "buy".to_owned(), Some(19.99)),
    ];
    assert_eq!(told().await, expected);
}

pub async fn history_is_cut_strictly_before(store: AnyStore) {
    let entries = [-5, 0, 5, 10].map(|at| by("u", entry("i", at == 0, at)));
    store.put_history(entries.to_vec()).await.unwrap();
    let times = async |before| -> Vec<i64> {
        let history = store.history(&"u".into(), before, 9, 9).await.unwrap();
        history.entries.iter().map(|entry| entry.timestamp).collect()
    };
    assert_eq!(times(11).await, [10, 5, 0, -5]);
    assert_eq!(times(10).await, [5, 0, -5]);
    assert_eq!(times(0).await, [-5]);
    assert_eq!(times(-5).await, [0; 0]);
    assert_eq!(times(i64::MIN).await, [0; 0]);
}

pub async fn history_keeps_clicks_among_many_impressions(store: AnyStore) {
    let mut entries: Vec<_> = (0..500).map(|at| by("u", entry("i", false, 1000 + at))).collect();
    entries.push(by("u", entry("old click", true, 1)));
    entries.extend((0..5).map(|at| by("u2", entry("other", true, at))));
    store.put_history(entries).await.unwrap();
    let found = store.history(&"u".into(), i64::MAX, 1, 2).await.unwrap().entries;
    assert_eq!(
        found,
        [entry("i", false, 1499), entry("i", false, 1498), entry("old click", true, 1)]
    );
    let found = store.history(&"u".into(), i64::MAX, 0, 1).await.unwrap().entries;
    assert_eq!(found, [entry("i", false, 1499)]);
    let found = store.history(&"u".into(), i64::MAX, 1, 0).await.unwrap().entries;
    assert_eq!(found, [entry("old click", true, 1)]);
    assert_eq!(store.history(&"u".into(), i64::MAX, 0, 0).await.unwrap().entries, []);
    let all = store.history(&"u".into(), i64::MAX, usize::MAX, usize::MAX).await.unwrap();
    assert_eq!(all.entries.len(), 501);
}

pub async fn history_orders_equal_times_by_id(store: AnyStore) {
    let entries = ["10", "9", "100", "b"].map(|id| by("u", entry(id, id == "9", 7)));
    store.put_history(entries.to_vec()).await.unwrap();
    let order: Vec<_> = history(&store, "u").await.into_iter().map(|entry| entry.0).collect();
    assert_eq!(order, ["100", "10", "b", "9"]);
    // Cut by number, the greater ids stay.
    let cut = store.history(&"u".into(), 8, 0, 2).await.unwrap().entries;
    assert_eq!(cut, [entry("100", false, 7), entry("10", false, 7)]);
}

pub async fn history_accepts_any_time_and_id(store: AnyStore) {
    let long = "x".repeat(ItemId::MAX_BYTES);
    let entries = [
        entry(&long, true, i64::MAX - 1),
        entry("{}\u{0}é", false, 1 << 60),
        entry("", true, (1 << 60) - 1),
        entry("1", false, -1),
        entry("2", true, i64::MIN),
    ];
    let user = "y{}".repeat(UserId::MAX_BYTES / 3);
    store.put_history(entries.iter().rev().map(|e| by(&user, e.clone())).collect()).await.unwrap();
    let found = store.history(&user.as_str().into(), i64::MAX, 9, 9).await.unwrap();
    assert_eq!(found.entries, entries);
}

pub async fn bulk_history_is_idempotent(store: AnyStore) {
    let entries = vec![
        by("u", entry("a", true, 1)),
        by("u", entry("b", false, 1)),
        // Differs only in `clicked`: the click stays, in either order.
        by("u", entry("c", true, 2)),
        by("u", entry("c", false, 2)),
        by("u", entry("d", false, 3)),
        by("u", entry("d", true, 3)),
    ];
    let expected = [("d", true, 3), ("c", true, 2), ("b", false, 1), ("a", true, 1)]
        .map(|(a, b, c)| (a.to_owned(), b, c));
    for _ in 0..2 {
        store.put_history(entries.clone()).await.unwrap();
        assert_eq!(history(&store, "u").await, expected);
    }
    let reversed =
        entries.into_iter().rev().map(|(user, entry)| (UserId::from(format!("{user}2")), entry));
    for entry in reversed {
        store.put_history(vec![entry]).await.unwrap();
    }
    assert_eq!(history(&store, "u2").await, expected);
    assert_eq!(stats(&store, "a").await, (0, 0), "statistics are put apart");
}

pub async fn all_histories_are_scanned(store: AnyStore) {
    let mut written = BTreeSet::new();
    let mut entries = Vec::new();
    for user in ["u", "}", "{", "", "a}b{c}", "東"] {
        for number in 0..30 {
            let (id, clicked, at) = (format!("i{}", number % 7), number % 3 == 0, number - 5);
            entries.push(by(user, entry(&id, clicked, at)));
            written.insert((user.to_owned(), id, clicked, at));
        }
    }
    for user in 0..40 {
        let user = format!("user {user}");
        entries.push(by(&user, entry("i", true, i64::MAX)));
        written.insert((user, "i".to_owned(), true, i64::MAX));
    }
    store.put_history(entries).await.unwrap();
    // Other data of the namespace does not disturb it.
    store.put_items(vec![new_item("a")]).await.unwrap();
    store.put_users(vec![user("u")]).await.unwrap();
    store.append_events(vec![event("e", EventType::click())]).await.unwrap();
    written.insert(("u".to_owned(), "i".to_owned(), true, 100));

    for limit in [0, 7, 100_000] {
        let (mut found, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
        loop {
            let page = store.scan_histories(cursor, limit).await.unwrap();
            found.extend(page.entries.into_iter().map(|(user, entry)| {
                (user.to_string(), entry.item_id.to_string(), entry.clicked, entry.timestamp)
            }));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, written);
        assert!(limit > 100 || pages > 2, "{limit}: {pages}");
    }
}

pub async fn statistics_are_replaced_and_extended(store: AnyStore) {
    let put = |impressions, clicks| {
        vec![("i".into(), ItemStats { impressions, clicks, ..ItemStats::default() })]
    };
    store.put_item_stats(put(10, 2)).await.unwrap();
    store.put_item_stats(put(7, 1)).await.unwrap();
    assert_eq!(stats(&store, "i").await, (7, 1));
    store.append_events(vec![event("1", EventType::click())]).await.unwrap();
    assert_eq!(stats(&store, "i").await, (8, 2));
    let many = store.item_stats(&ids(&["no", "i", "i"])).await.unwrap();
    let popularity = Decayed { value: 1.0, at: 100 };
    let i = ItemStats { impressions: 8, clicks: 2, popularity };
    assert_eq!(many, [ItemStats::default(), i, i]);
    store.put_item_stats(put(20, 5)).await.unwrap();
    assert_eq!(stats(&store, "i").await, (21, 6), "loading again does not forget events");
}

pub async fn neighbours_read_back(store: AnyStore) {
    let list = vec![(ItemId::from("b"), 0.5), ("c".into(), -0.25)];
    let entries = vec![("a".into(), list.clone()), ("b".into(), vec![])];
    store.put_neighbours(entries).await.unwrap();
    let found = store.neighbours(&ids(&["b", "a", "no"])).await.unwrap();
    assert_eq!(found, [vec![], list, vec![]]);
    store.put_neighbours(vec![("a".into(), vec![("z".into(), 1.0)])]).await.unwrap();
    assert_eq!(store.neighbours(&ids(&["a"])).await.unwrap(), [vec![("z".into(), 1.0)]]);
}

pub async fn empty_calls_are_no_error(store: AnyStore) {
    let space = VectorSpace::Modal("1".into());
    store.ping().await.unwrap();
    store.put_items(vec![]).await.unwrap();
    store.delete_items(&[]).await.unwrap();
    store.put_users(vec![]).await.unwrap();
    store.put_history(vec![]).await.unwrap();
    store.put_item_stats(vec![]).await.unwrap();
    store.put_neighbours(vec![]).await.unwrap();
    store.put_vectors(&space, vec![]).await.unwrap();
    assert!(store.append_events(vec![]).await.unwrap().is_empty());
    assert!(store.items(&[]).await.unwrap().is_empty());
    assert!(store.images(&[]).await.unwrap().is_empty());
    assert!(store.item_stats(&[]).await.unwrap().is_empty());
    assert!(store.neighbours(&[]).await.unwrap().is_empty());
    assert!(store.vectors(&space, &[]).await.unwrap().is_empty());
    assert!(store.scan_items(None, 5).await.unwrap().is_empty());
    assert_eq!(store.item_count().await.unwrap(), 0);
    assert_eq!(history(&store, "nobody").await, []);
}
