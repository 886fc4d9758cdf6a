use std::sync::atomic::AtomicBool;

use plugrank_store::content_hash;

use super::*;
use crate::{
    content_of,
    testing::{item, put, write},
};

#[test]
fn an_id_keeps_its_index() {
    let table = ItemTable::new();
    let a = put(&table, "a", &["x"], Some(1));
    let b = put(&table, "b", &["x", "y", "x"], Some(2));
    assert_eq!(table.remove([&ItemId::from("a"), &"never".into()]), [a]);
    let view = table.view();
    assert_eq!((view.index_of("a"), view.availability(a)), (None, Availability::Removed));
    assert_eq!((view.categories(a), view.created_at(a)), (&[] as &[u32], None));
    assert_eq!(view.categories(UNKNOWN_ITEM), &[] as &[u32]);
    assert_eq!(view.id(a), Some(&"a".into()), "its index still resolves to the id");
    assert_eq!(table.len(), 1);
    assert_eq!(put(&table, "a", &[], Some(3)), a);
    assert_eq!(view.availability(a), Availability::Removed, "an existing view does not change");
    let view = table.view();
    assert_eq!(view.categories(a), &[] as &[u32]);
    assert_eq!(view.categories(b), &[0, 1]);
    assert_eq!(view.category_name(1), Some("y"));
}

#[test]
fn a_reserved_index_has_no_item_yet() {
    let table = ItemTable::new();
    let a = put(&table, "a", &["x"], Some(1));
    assert_eq!(table.indices_or_new(&["b".into(), "a".into(), "b".into()]), [1, a, 1]);
    let view = table.view();
    assert_eq!((view.index_of("b"), view.id(1), table.len()), (None, Some(&"b".into()), 1));
    assert_eq!(view.stats(1), ItemStats::default());
    let restored = ItemTable::new();
    assert!(restored.restore(&table.saved()));
    assert_eq!(put(&table, "b", &[], None), 1);
    assert_eq!(put(&restored, "b", &[], None), 1);
    assert_eq!(table.view().index_of("b"), Some(1));
}

#[test]
fn newest_follows_changes_and_the_request_time() {
    let table = ItemTable::new();
    for (id, at) in [("a", Some(10)), ("b", Some(30)), ("c", None), ("d", Some(20))] {
        put(&table, id, &[], at);
    }
    let newest = |at| table.view().newest(at).collect::<Vec<_>>();
    assert_eq!(newest(100), [1, 3, 0]);
    assert_eq!(newest(20), [3, 0]);
    put(&table, "a", &[], Some(40));
    let mut gone = item("b", &[], Some(30));
    gone.available = false;
    write(&table, &gone);
    assert_eq!(newest(100), [0, 3]);
    assert_eq!(table.view().availability(1), Availability::Unavailable);
    table.remove([&"d".into()]);
    assert_eq!(newest(100), [0]);
}

#[test]
fn available_bits_agree_with_the_rows() {
    let table = ItemTable::new();
    let mut hidden = item("b", &[], None);
    hidden.available = false;
    put(&table, "a", &[], None);
    write(&table, &hidden);
    put(&table, "c", &[], None);
    table.remove([&"c".into()]);
    let view = table.view();
    let restored = ItemTable::new();
    assert!(restored.restore(&table.saved()));
    for view in [&view, &restored.view()] {
        assert_eq!(
            [0, 1, 2, 3, UNKNOWN_ITEM].map(|index| view.available(index)),
            [true, false, false, false, false]
        );
    }
    table.remove([&"a".into()]);
    put(&table, "b", &[], None);
    assert!(view.available(0) && !view.available(1), "an existing view does not change");
    assert!(!table.view().available(0) && table.view().available(1));
}

#[test]
fn only_content_changes_the_epoch() {
    let table = ItemTable::new();
    let index = put(&table, "a", &["x"], Some(1));
    let epoch = table.epoch();
    let mut same = item("a", &["x"], Some(2));
    same.available = false;
    write(&table, &same);
    table.set_stats(index, ItemStats { impressions: 2, clicks: 1, ..ItemStats::default() });
    assert_eq!(table.epoch(), epoch, "age, availability and statistics are not content");
    write(&table, &item("a", &["y"], Some(2)));
    assert!(table.epoch() > epoch);
    let epoch = table.epoch();
    table.remove([&"a".into()]);
    assert!(table.epoch() > epoch);
    let epoch = table.epoch();
    put(&table, "new", &[], None);
    assert!(table.epoch() > epoch, "a history may name an item before it exists");
}

#[test]
fn unlisted_items_are_those_written_since_the_last_list() {
    let table = ItemTable::new();
    let indices = ["a", "b", "c"].map(|id| put(&table, id, &[], None));
    table.listed(&indices[..2]);
    assert_eq!(table.view().unlisted().collect::<Vec<_>>(), [2]);
    put(&table, "a", &[], None);
    assert_eq!(table.view().unlisted().collect::<Vec<_>>(), [0, 2]);
}

/// Rows are read atomically: categories, age and content of an item always belong together.
#[test]
fn concurrent_readers_never_see_partial_rows() {
    let table = ItemTable::new();
    let versions: Vec<Item> =
        (0..4i64).map(|n| item("a", &["x", "y", "z", "w"][..n as usize], Some(n))).collect();
    let expected: Vec<_> = versions.iter().map(|item| content_of(&content_hash(item))).collect();
    write(&table, &versions[0]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let view = table.view();
                    let at = view.created_at(0).unwrap() as usize;
                    assert_eq!(view.content(0), expected[at]);
                    assert_eq!(view.categories(0).len(), at);
                }
            });
        }
        for round in 0..20_000 {
            write(&table, &versions[round % 4]);
        }
        done.store(true, Ordering::Release);
    });
}
