//! Items similar to an item, and candidates that go with items.

use plugrank_contract::{
    CallError, Condition, Context, ErrorCode, Filter, HistoryEntry, ItemId,
    retrieval::{Retrieve, Similar, SimilarItems},
};
use plugrank_retrieval::RetrievalService;
use plugrank_transport::Service;

use crate::shop::{Shop, dropped, from, ids, item, request, retrieve};

/// Items `i0` to `i89`, a degree apart; the numbers that 10 divides are in category `ten`. `i50` is
/// not available, and `bare` has no vector.
async fn shop() -> Shop {
    let shop = Shop::new();
    for n in 0..90 {
        let categories: &[&str] = if n % 10 == 0 { &["ten"] } else { &["other"] };
        let mut item = item(&format!("i{n}"), categories, None);
        item.available = n != 50;
        shop.put(item).await;
        let angle = (n as f32).to_radians();
        shop.vectors.set(&format!("i{n}"), &[angle.cos(), angle.sin()]);
    }
    shop.put(item("bare", &[], None)).await;
    shop
}

fn ten() -> Filter {
    let field = "categories".to_owned();
    let condition = Condition { field, any: Some(vec!["ten".into()]), ..Condition::default() };
    Filter { must: vec![condition], ..Filter::default() }
}

async fn similar(
    service: &RetrievalService,
    id: &str,
    k: u32,
    filters: Vec<Filter>,
) -> Result<SimilarItems, CallError> {
    let call = Similar { item_id: id.into(), k, filters };
    service.call(Context::background(), call).await
}

fn names(found: &SimilarItems) -> Vec<&str> {
    found.items.ids().map(ItemId::as_str).collect()
}

#[tokio::test]
async fn the_nearest_items_come_first_without_the_item_itself() {
    let service = shop().await.build().await.unwrap();
    let found = similar(&service, "i0", 3, Vec::new()).await.unwrap();
    assert_eq!(names(&found), ["i1", "i2", "i3"]);
    for (degrees, cosine) in (1..).zip(&found.similarity) {
        assert!((cosine - (degrees as f32).to_radians().cos()).abs() < 1e-3, "{found:?}");
    }
    assert_eq!(found.bundle, "bundle-1");
    let found = similar(&service, "i50", 2, Vec::new()).await.unwrap();
    assert_eq!(names(&found).len(), 2, "an item that is sold out has similar ones");
    let found = similar(&service, "i49", 100, Vec::new()).await.unwrap();
    assert_eq!(names(&found).len(), 88, "all but itself and the one that is not available");
}

#[tokio::test]
async fn as_many_similar_items_come_as_match_the_filter() {
    let service = shop().await.build().await.unwrap();
    let found = similar(&service, "i21", 5, vec![ten()]).await.unwrap();
    assert_eq!(names(&found), ["i20", "i30", "i10", "i40", "i0"]);
    let found = similar(&service, "i20", 100, vec![ten()]).await.unwrap();
    assert_eq!(names(&found).len(), 7);
}

#[tokio::test]
async fn items_without_a_vector_are_refused_with_the_reason() {
    let shop = shop().await;
    let service = shop.build().await.unwrap();
    let code = |error: CallError| error.code;
    let unknown = similar(&service, "i900", 3, Vec::new()).await.unwrap_err();
    assert_eq!(code(unknown), ErrorCode::NotFound);
    let bare = similar(&service, "bare", 3, Vec::new()).await.unwrap_err();
    assert_eq!(code(bare), ErrorCode::Unavailable);
    let none = similar(&service, "i1", 0, Vec::new()).await.unwrap_err();
    assert_eq!(code(none), ErrorCode::InvalidArgument);
    let mut wrong = ten();
    wrong.must[0].field = "colour".to_owned();
    let wrong = similar(&service, "i1", 3, vec![wrong]).await.unwrap_err();
    assert_eq!(wrong.pointer.as_deref(), Some("/filters/0/must/0/field"));
}

#[tokio::test]
async fn sources_search_by_the_items_of_the_context() {
    let shop = shop().await;
    shop.clicks("u", &["i80"], 1_000).await;
    let pairs = vec![(ItemId::from("i10"), vec![(ItemId::from("i33"), 1.0)])];
    shop.store.put_neighbours(pairs).await.unwrap();
    let service = shop.build().await.unwrap();
    let context = ["i10", "gone"].map(ItemId::from).to_vec().into();
    let found = retrieve(&service, Retrieve { context, ..request("u", 20) }).await;
    let near = from(&found, "ann");
    assert!(near.iter().all(|id| id[1..].parse::<i32>().unwrap() < 25), "{near:?}");
    assert_eq!(from(&found, "co_visitation"), ["i33"]);
    assert!(dropped(&found).contains(&("i80", "seen")) || !ids(&found).contains(&"i80"));
    assert!(!ids(&found).contains(&"i10"), "it is there already");
}

#[tokio::test]
async fn a_history_in_the_request_replaces_the_stored_one() {
    let shop = shop().await;
    shop.clicks("u", &["i80"], 1_000).await;
    let service = shop.build().await.unwrap();
    let entry = HistoryEntry::new("i10".into(), true, 5);
    let recent = Some([entry].into());
    for user in ["u", "nobody"] {
        let call = Retrieve { recent: recent.clone(), ..request(user, 20) };
        let found = retrieve(&service, call).await;
        let near = from(&found, "ann");
        assert!(near.iter().all(|id| id[1..].parse::<i32>().unwrap() < 25), "{near:?}");
        assert!(!ids(&found).contains(&"i10"), "it was clicked");
    }
    let nothing = Retrieve { recent: Some([].into()), ..request("u", 20) };
    assert!(from(&retrieve(&service, nothing).await, "ann").is_empty());
}

#[tokio::test]
async fn items_of_earlier_pages_are_excluded() {
    let service = shop().await.build().await.unwrap();
    let mut shown: Vec<u32> = Vec::new();
    let mut met = std::collections::HashSet::new();
    for _ in 0..5 {
        shown.sort_unstable();
        let call = Retrieve { shown: shown.clone().into(), ..request("u", 20) };
        let page = retrieve(&service, call).await;
        for id in page.candidates.ids() {
            assert!(met.insert(id.clone()), "{id} comes again");
            shown.push(id.fingerprint());
        }
    }
    assert_eq!(met.len(), 90, "all that are available");
    let named = Some(vec![ItemId::from("i1"), ItemId::from("bare")].into());
    let call = Retrieve { candidates: named, shown: shown.into(), ..request("u", 20) };
    let page = retrieve(&service, call).await;
    assert!(page.candidates.is_empty() && dropped(&page).contains(&("i1", "shown")));
}
