//! The service over a real store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, Dtype, ErrorCode, Item, ItemId, Matrix,
    embedding::{FetchVectors, FetchedVectors, RecordOrigin},
    reranking::{Placement, Rerank, Reranked, ScoredCandidate},
    retrieval::Source,
};
use plugrank_reranking::{RerankingOptions, RerankingParts, RerankingService};
use plugrank_store::{EmbeddedOptions, EmbeddedStore, NewItem, Store};
use plugrank_transport::Service;
use tempfile::TempDir;

const DAY: i64 = 24 * 3_600 * 1_000;
const AS_OF: i64 = 1_000 * DAY;

/// Stands in for the embedding service.
#[derive(Default)]
struct Vectors {
    rows: HashMap<ItemId, [f32; 2]>,
    asked: AtomicUsize,
    hangs: bool,
    fails: bool,
}

#[async_trait]
impl Service<FetchVectors> for Vectors {
    async fn call(&self, _: Context, call: FetchVectors) -> Result<FetchedVectors, CallError> {
        self.asked.fetch_add(call.item_ids.len(), Ordering::Relaxed);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.fails {
            return Err(CallError::overloaded("embedding is busy"));
        }
        let row = |id: &ItemId| self.rows.get(id).copied();
        let origin =
            |id| if row(id).is_some() { RecordOrigin::Memory } else { RecordOrigin::Missing };
        let data = call.item_ids.iter().flat_map(|id| row(id).unwrap_or_default());
        let data = data.flat_map(f32::to_le_bytes).collect();
        let vectors = Matrix::new(call.item_ids.len(), 2, Dtype::F32, data);
        Ok(FetchedVectors {
            bundle: "b".to_owned(),
            vectors: vectors.expect("two numbers a row"),
            origins: call.item_ids.iter().map(origin).collect(),
        })
    }
}

struct Shop {
    service: RerankingService,
    vectors: Arc<Vectors>,
    _folder: TempDir,
}

/// Items with a main category, an age in days and, in `vectors`, a direction.
async fn shop(items: &[(&str, &str, i64)], vectors: Vectors, options: RerankingOptions) -> Shop {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&file, EmbeddedOptions::default()).expect("a store");
    let new = items.iter().map(|&(id, category, age)| NewItem {
        item: Item {
            item_id: id.into(),
            title: id.to_owned(),
            text: String::new(),
            categories: vec![category.to_owned()],
            created_at: Some(AS_OF - age * DAY),
            available: true,
            image_hash: None,
            features: Default::default(),
        },
        image: None,
    });
    store.put_items(new.collect()).await.expect("items are written");
    let vectors = Arc::new(vectors);
    let parts = RerankingParts { store: Arc::new(store), vectors: vectors.clone(), options };
    let service = RerankingService::new(parts).expect("valid options");
    Shop { service, vectors, _folder: folder }
}

fn call(candidates: &[(&str, f32)], k: u32) -> Rerank {
    let candidate = |&(id, ctr): &(&str, f32)| ScoredCandidate {
        item_id: id.into(),
        ctr,
        sources: vec![Source::Ann],
    };
    Rerank { candidates: candidates.iter().map(candidate).collect(), k, as_of: AS_OF, seed: 1 }
}

async fn ask(shop: &Shop, call: Rerank) -> Reranked {
    shop.service.call(Context::background(), call).await.expect("an answer")
}

fn ids(reranked: &Reranked) -> Vec<&str> {
    reranked.items.iter().map(|item| item.item_id.as_str()).collect()
}

const ITEMS: [(&str, &str, i64); 5] =
    [("a1", "a", 90), ("a2", "a", 90), ("a3", "a", 90), ("b1", "b", 90), ("new", "c", 1)];
const SCORED: [(&str, f32); 5] =
    [("a1", 0.50), ("a2", 0.49), ("a3", 0.48), ("b1", 0.45), ("new", 0.01)];

fn directions() -> Vectors {
    let rows = [("a1", [1.0, 0.0]), ("a2", [1.0, 0.01]), ("a3", [1.0, 0.02]), ("b1", [0.0, 1.0])];
    let rows = rows.into_iter().chain([("new", [0.5, 0.5])]);
    Vectors { rows: rows.map(|(id, row)| (id.into(), row)).collect(), ..Vectors::default() }
}

#[tokio::test]
async fn likeness_by_vectors_moves_what_repeats_down() {
    let mut options = RerankingOptions::default();
    options.exploration.share = 0.0;
    let shop = shop(&ITEMS, directions(), options).await;
    let reranked = ask(&shop, call(&SCORED, 3)).await;
    assert_eq!(ids(&reranked), ["a1", "b1", "a2"]);
    assert_eq!(reranked.skipped, [] as [String; 0]);
    assert_eq!(reranked.items[0].score, 0.50, "nothing above it");
    assert_eq!(reranked.items[2].ctr, 0.49, "a probability stays what it was");
    assert!(reranked.items[2].score < 0.45);
}

#[tokio::test]
async fn without_vectors_categories_are_compared_and_the_answer_says_so() {
    let mut options = RerankingOptions::default();
    options.exploration.share = 0.0;
    let failing = Vectors { fails: true, ..Vectors::default() };
    let down = shop(&ITEMS, failing, options.clone()).await;
    let reranked = ask(&down, call(&SCORED, 3)).await;
    assert_eq!(ids(&reranked), ["a1", "b1", "a2"]);
    assert_eq!(reranked.skipped.len(), 1);
    assert!(reranked.skipped[0].contains("embedding is busy"), "{:?}", reranked.skipped);
    let missing = shop(&ITEMS, Vectors::default(), options).await;
    let reranked = ask(&missing, call(&SCORED, 3)).await;
    assert_eq!(ids(&reranked), ["a1", "b1", "a2"]);
    assert!(reranked.skipped[0].contains("5 of 5 items"), "{:?}", reranked.skipped);
}

#[tokio::test(start_paused = true)]
async fn vectors_that_take_too_long_do_not_hold_up_the_answer() {
    let hanging = Vectors { hangs: true, ..Vectors::default() };
    let shop = shop(&ITEMS, hanging, RerankingOptions::default()).await;
    let context = Context::background().within(Duration::from_millis(10));
    let reranked = shop.service.call(context.clone(), call(&SCORED, 3)).await.unwrap();
    assert_eq!(reranked.items.len(), 3);
    assert!(reranked.skipped[0].contains("within 6 ms"), "{:?}", reranked.skipped);
    assert!(!context.expired());
}

#[tokio::test]
async fn caps_hold_and_are_relaxed_when_nothing_else_is_left() {
    let mut options = RerankingOptions::default();
    options.exploration.share = 0.0;
    options.diversity.lambda = 1.0;
    options.category_cap.max = 1;
    let shop = shop(&ITEMS, directions(), options).await;
    let reranked = ask(&shop, call(&SCORED, 4)).await;
    assert_eq!(ids(&reranked), ["a1", "b1", "new", "a2"]);
    let placements: Vec<Placement> = reranked.items.iter().map(|item| item.placement).collect();
    assert_eq!(placements[..3], [Placement::Ranked; 3]);
    assert_eq!(placements[3], Placement::CapRelaxed);
    assert_eq!(shop.vectors.asked.load(Ordering::Relaxed), 0, "nobody needs vectors");
}

#[tokio::test]
async fn a_fresh_item_gets_its_slot() {
    let mut options = RerankingOptions::default();
    options.exploration.share = 0.5;
    let shop = shop(&ITEMS, directions(), options).await;
    let reranked = ask(&shop, call(&SCORED, 2)).await;
    assert_eq!(ids(&reranked), ["a1", "new"]);
    assert_eq!(reranked.items[1].placement, Placement::Explored);
    assert_eq!(reranked.items[1].ctr, 0.01);
    let later = Rerank { as_of: AS_OF + 30 * DAY, ..call(&SCORED, 2) };
    assert!(!ids(&ask(&shop, later).await).contains(&"new"), "no longer fresh");
}

#[tokio::test(start_paused = true)]
async fn the_edges() {
    let shop = shop(&ITEMS, directions(), RerankingOptions::default()).await;
    let none = ask(&shop, call(&[], 5)).await;
    assert_eq!((none.items.len(), none.skipped.len()), (0, 0));
    let all = ask(&shop, call(&SCORED, 500)).await;
    assert_eq!(all.items.len(), 5);
    let unknown = ask(&shop, call(&[("nowhere", 0.4), ("a1", 0.2)], 5)).await;
    assert_eq!(ids(&unknown), ["nowhere", "a1"], "an item without facts is still ranked");
    let error = shop.service.call(Context::background(), call(&SCORED, 0)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("`k`"), "{}", error.message);
    let late = Context::background().within(Duration::ZERO);
    let error = shop.service.call(late, call(&SCORED, 2)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
}
