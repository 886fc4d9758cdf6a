//! Requests with filters: `limit` candidates come back whenever that many match.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
};

use plugrank_contract::{Condition, Context, Filter, Item, ItemId, retrieval::Retrieve};
use plugrank_retrieval::RetrievalService;
use plugrank_store::NewItem;
use plugrank_transport::Service;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::shop::{Shop, dropped, from, ids, item, request, retrieve};

const ITEMS: usize = 12_000;
/// Parts that the catalog is cut into, by the column that says so: one part is 50% of it, 5%, 0.5%,
/// 0.05%.
const PARTS: [(&str, usize); 4] = [("of2", 2), ("of20", 20), ("of200", 200), ("of2000", 2_000)];

/// Which part an item is in: spread over categories, ages and vectors.
fn part(item: usize, parts: usize) -> usize {
    (item as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % parts
}

fn shop_item(n: usize) -> Item {
    let features = PARTS.map(|(column, parts)| (column.to_owned(), part(n, parts).to_string()));
    let features = BTreeMap::from(features.map(|(name, value)| (name, value.into())));
    Item { features, ..item(&format!("i{n}"), &[&format!("c{}", n % 9)], Some(n as i64)) }
}

fn is(column: &str, value: usize) -> Condition {
    let any = Some(vec![value.to_string().as_str().into()]);
    Condition { field: column.to_owned(), any, ..Condition::default() }
}

fn must(conditions: Vec<Condition>) -> Filter {
    Filter { must: conditions, ..Filter::default() }
}

struct Served {
    runtime: Runtime,
    service: RetrievalService,
    _shop: Shop,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (service, shop) = runtime.block_on(async {
        let shop = Shop::new();
        let new = (0..ITEMS).map(|n| NewItem { item: shop_item(n), image: None });
        shop.store.put_items(new.collect()).await.unwrap();
        for n in 0..ITEMS {
            let angle = n as f32 * 1e-3;
            shop.vectors.set(&format!("i{n}"), &[angle.cos(), angle.sin()]);
        }
        shop.clicks("u", &["i5", "i70", "i6000", "i333"], 500_000).await;
        (shop.build().await.unwrap(), shop)
    });
    Served { runtime, service, _shop: shop }
});

fn asked(user: &str, limit: u32, filter: Filter) -> (Vec<String>, Retrieve) {
    let Served { runtime, service, .. } = &*SERVED;
    let call = Retrieve { filters: vec![filter], ..request(user, limit) };
    let retrieved = runtime.block_on(retrieve(service, call.clone()));
    (ids(&retrieved).into_iter().map(str::to_owned).collect(), call)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn as_many_candidates_come_as_match_the_filter(
        (column, parts) in prop::sample::select(PARTS.to_vec()),
        value in 0usize..2_000,
        not in prop::option::of(0usize..20),
        user in prop::sample::select(vec!["u", "nobody"]),
        limit in 1u32..400,
    ) {
        let value = value % parts;
        let must_not = not.map(|not| is("of20", not)).into_iter().collect();
        let filter = Filter { must_not, ..must(vec![is(column, value)]) };
        let seen: &[usize] = if user == "u" { &[5, 70, 6_000, 333] } else { &[] };
        let matching: HashSet<String> = (0..ITEMS)
            .filter(|n| part(*n, parts) == value && not.is_none_or(|not| part(*n, 20) != not))
            .filter(|n| !seen.contains(n))
            .map(|n| format!("i{n}"))
            .collect();
        let (found, _) = asked(user, limit, filter);
        let distinct: HashSet<String> = found.iter().cloned().collect();
        prop_assert_eq!(distinct.len(), found.len());
        prop_assert!(distinct.is_subset(&matching));
        prop_assert_eq!(found.len(), matching.len().min(limit as usize));
    }
}

#[test]
fn every_source_searches_within_the_filter() {
    let Served { runtime, service, .. } = &*SERVED;
    for (column, parts) in PARTS {
        let filters = vec![must(vec![is(column, part(5, parts))])];
        let call = Retrieve { filters, ..request("u", 100) };
        let retrieved = runtime.block_on(retrieve(service, call));
        let matching = ITEMS / parts;
        for (source, quota) in [("ann", 50), ("popular", 20), ("fresh", 10)] {
            let named = from(&retrieved, source).len();
            // What was clicked does not count, and every source may name all that match.
            assert!(named >= quota.min(matching - 4), "{source} names {named} for {column}");
        }
    }
}

#[test]
fn filtered_neighbours_are_the_nearest_matching_items() {
    let Served { runtime, service, .. } = &*SERVED;
    let filters = vec![must(vec![is("of200", part(333, 200))])];
    let call = Retrieve { filters, ..request("u", 40) };
    let retrieved = runtime.block_on(retrieve(service, call));
    // 60 match. The latest click is at 0.333 radians: the items before and after it that match.
    let like = |step: isize| {
        let mut n = 333isize;
        loop {
            n += step;
            if part(n as usize, 200) == part(333, 200) {
                return format!("i{n}");
            }
        }
    };
    let named = from(&retrieved, "ann");
    assert!(named.contains(&like(1).as_str()) && named.contains(&like(-1).as_str()), "{named:?}");
}

#[tokio::test]
async fn candidates_of_the_caller_are_filtered_too() {
    let shop = Shop::new();
    for n in 0..10 {
        shop.put(shop_item(n)).await;
    }
    let service = shop.build().await.unwrap();
    let candidates = Some(["i3", "i4", "i5", "no such"].map(ItemId::from).to_vec().into());
    let filters = vec![must(vec![is("of2", part(4, 2))])];
    let call = Retrieve { candidates, filters, ..request("u", 10) };
    let retrieved = retrieve(&service, call).await;
    let keeps = |n: &usize| part(*n, 2) == part(4, 2);
    let kept: Vec<String> = (3..6).filter(keeps).map(|n| format!("i{n}")).collect();
    assert_eq!(ids(&retrieved), kept);
    let out = (3..6).filter(|n| !keeps(n)).count();
    let reasons: Vec<&str> = dropped(&retrieved).iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "filter").count(), out);
    assert_eq!(reasons.len(), out + 1, "and the unknown one");
}

#[tokio::test]
async fn a_filter_on_an_unknown_column_is_refused_with_its_pointer() {
    let shop = Shop::new();
    shop.put(shop_item(1)).await;
    let service = shop.build().await.unwrap();
    let range = Condition { gte: Some(1.0), any: None, ..is("of2", 0) };
    let filters = vec![Filter::default(), must(vec![is("of2", 0), range])];
    let call = Retrieve { filters, ..request("u", 10) };
    let error = service.call(Context::background(), call).await.unwrap_err();
    assert_eq!(error.pointer.as_deref(), Some("/filters/1/must/1"));
    let call = Retrieve { filters: vec![must(vec![is("prise", 0)])], ..request("u", 10) };
    let error = service.call(Context::background(), call).await.unwrap_err();
    assert_eq!(error.pointer.as_deref(), Some("/filters/0/must/0/field"));
    assert!(error.message.contains("of2, of20"), "{error}");
}
