//! The service over an item table, and over what comes with the scores.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plugrank_bundle::{ItemRecordLayout, record::RecordPart};
use plugrank_contract::{
    Context, Dtype, ErrorCode, Item, ItemId, ItemList, Matrix,
    reranking::{Move, RankFacts, Rerank, Reranked, RuleFacts},
};
use plugrank_items::{ItemTable, NewRecord, RecordTable, content_of};
use plugrank_reranking::{
    ItemFacts, RerankingOptions, RerankingParts, RerankingService, RuleOptions, rule_inputs,
};
use plugrank_store::{ItemStats, content_hash};
use plugrank_transport::Service;

const DAY: i64 = 24 * 3_600 * 1_000;
const AS_OF: i64 = 1_000 * DAY;

const ITEMS: [(&str, &str, i64); 5] =
    [("a1", "a", 90), ("a2", "a", 90), ("a3", "a", 90), ("b1", "b", 90), ("new", "c", 1)];
const SCORED: [(&str, f32); 5] =
    [("a1", 0.50), ("a2", 0.49), ("a3", 0.48), ("b1", 0.45), ("new", 0.01)];
const DIRECTIONS: [(&str, [f32; 2]); 5] = [
    ("a1", [1.0, 0.0]),
    ("a2", [1.0, 0.01]),
    ("a3", [1.0, 0.02]),
    ("b1", [0.0, 1.0]),
    ("new", [0.5, 0.5]),
];

fn item(id: &str, category: &str, age: i64) -> Item {
    Item {
        item_id: id.into(),
        title: id.to_owned(),
        text: String::new(),
        categories: vec![category.to_owned()],
        created_at: Some(AS_OF - age * DAY),
        available: true,
        image_hash: None,
        features: Default::default(),
    }
}

fn row(direction: [f32; 2]) -> Vec<u8> {
    direction.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// A table of [`ITEMS`], with records of these directions.
fn shop(directions: &[(&str, [f32; 2])]) -> ItemFacts {
    let items = ItemTable::new();
    let part = RecordPart { name: "item_vector".into(), offset: 0, dim: 2 };
    let layout = ItemRecordLayout { parts: vec![part], dim: 2, dtype: Dtype::F32, vector: Some(0) };
    let records = RecordTable::new(layout, 1 << 20);
    for (id, category, age) in ITEMS {
        let item = item(id, category, age);
        let content = content_hash(&item);
        let index = items.put([(&item, &content, ItemStats::default())])[0];
        if let Some((_, direction)) = directions.iter().find(|(with, _)| *with == id) {
            let record = &row(*direction);
            records.put([NewRecord { item: index, content: content_of(&content), record }]);
        }
    }
    ItemFacts { items, records: Some(records) }
}

/// What would come with the scores of [`SCORED`].
fn facts(directions: &[(&str, [f32; 2])]) -> RankFacts {
    let place = |id: &str| SCORED.iter().position(|(scored, _)| *scored == id).unwrap() as u32;
    let data = directions.iter().flat_map(|(_, direction)| row(*direction)).collect();
    RankFacts {
        categories: vec![vec![0], vec![0], vec![0], vec![1], vec![2]],
        created_at: ITEMS.iter().map(|(_, _, age)| Some(AS_OF - age * DAY)).collect(),
        with_vector: directions.iter().map(|(id, _)| place(id)).collect(),
        vectors: Matrix::new(directions.len(), 2, Dtype::F32, data).unwrap(),
        rules: RuleFacts::default(),
    }
}

fn service(items: Option<ItemFacts>, options: RerankingOptions) -> RerankingService {
    RerankingService::new(RerankingParts { items, options, surfaces: BTreeMap::new() }).unwrap()
}

fn call(scored: &[(&str, f32)], k: u32) -> Rerank {
    Rerank {
        items: scored.iter().map(|(id, _)| ItemId::from(*id)).collect::<ItemList>(),
        ctr: scored.iter().map(|(_, ctr)| *ctr).collect(),
        worth: None,
        facts: None,
        surface: Arc::default(),
        k,
        before: 0,
        diversity: None,
        explain: false,
        as_of: AS_OF,
        seed: 1,
    }
}

async fn ask(service: &RerankingService, call: Rerank) -> Reranked {
    service.call(Context::background(), call).await.unwrap()
}

fn ids<'a>(scored: &[(&'a str, f32)], reranked: &Reranked) -> Vec<&'a str> {
    reranked.places.iter().map(|place| scored[place.candidate as usize].0).collect()
}

fn without_exploration() -> RerankingOptions {
    RerankingOptions { exploration_share: 0.0, ..RerankingOptions::default() }
}

/// The same list, whether the table is here or what the rules read comes with the scores.
#[tokio::test]
async fn similar_vectors_move_down_locally_and_remotely() {
    let here = service(Some(shop(&DIRECTIONS)), without_exploration());
    let together = ask(&here, call(&SCORED, 3)).await;
    assert_eq!(ids(&SCORED, &together), ["a1", "b1", "a2"]);
    assert_eq!(together.skipped, [] as [String; 0]);
    assert_eq!(together.places[0].score, 0.50, "nothing above it");
    assert!(together.places[2].score < 0.45);
    let apart = service(None, without_exploration());
    let given = Some(Arc::new(facts(&DIRECTIONS)));
    let apart = ask(&apart, Rerank { facts: given, ..call(&SCORED, 3) }).await;
    assert_eq!(apart, together);
}

#[tokio::test]
async fn without_vectors_categories_are_compared_and_it_is_reported() {
    let here = service(Some(shop(&[])), without_exploration());
    let reranked = ask(&here, call(&SCORED, 3)).await;
    assert_eq!(ids(&SCORED, &reranked), ["a1", "b1", "a2"]);
    assert!(reranked.skipped[0].contains("5 of 5 items"), "{:?}", reranked.skipped);
    let some = service(Some(shop(&DIRECTIONS[..2])), without_exploration());
    let reranked = ask(&some, call(&SCORED, 3)).await;
    assert!(reranked.skipped[0].contains("3 of 5 items"), "{:?}", reranked.skipped);
}

#[tokio::test]
async fn a_vector_of_an_earlier_content_version_is_ignored() {
    let shop = shop(&DIRECTIONS);
    let changed = Item { title: "another".to_owned(), ..item("b1", "b", 90) };
    shop.items.put([(&changed, &content_hash(&changed), ItemStats::default())]);
    let here = service(Some(shop), without_exploration());
    let reranked = ask(&here, call(&SCORED, 3)).await;
    assert!(reranked.skipped[0].contains("1 of 5 items"), "{:?}", reranked.skipped);
}

#[tokio::test]
async fn without_item_data_skipped_rules_are_reported_and_items_sort_by_probability() {
    let apart = service(None, without_exploration());
    let reranked = ask(&apart, call(&SCORED, 3)).await;
    assert_eq!(ids(&SCORED, &reranked), ["a1", "a2", "a3"]);
    assert!(reranked.skipped[0].contains("comes with the scores"), "{:?}", reranked.skipped);
}

#[tokio::test]
async fn caps_are_relaxed_only_when_no_other_item_is_left() {
    let mut options = without_exploration();
    options.lambda = 1.0;
    options.category_cap = 1;
    let here = service(Some(shop(&DIRECTIONS)), options);
    let reranked = ask(&here, call(&SCORED, 4)).await;
    assert_eq!(ids(&SCORED, &reranked), ["a1", "b1", "new", "a2"]);
    let rules: Vec<&str> = reranked.places.iter().map(|place| &*place.rule).collect();
    assert_eq!(rules, ["ranked", "ranked", "ranked", "cap_relaxed"]);
}

#[tokio::test]
async fn a_fresh_item_gets_its_share() {
    let options = RerankingOptions { exploration_share: 0.5, ..RerankingOptions::default() };
    let here = service(Some(shop(&DIRECTIONS)), options);
    // Of two places the second explores always.
    let reranked = ask(&here, call(&SCORED, 2)).await;
    assert_eq!(ids(&SCORED, &reranked), ["a1", "new"]);
    assert_eq!(reranked.places[1].rule, "explored");
    assert_eq!(reranked.places[1].propensity, Some(1.0));
    let later = Rerank { as_of: AS_OF + 30 * DAY, ..call(&SCORED, 2) };
    let later = ask(&here, later).await;
    assert!(!ids(&SCORED, &later).contains(&"new"), "no longer fresh");
}

#[tokio::test]
async fn a_request_can_set_the_weight_of_diversity() {
    let here = service(Some(shop(&DIRECTIONS)), without_exploration());
    let none = Rerank { diversity: Some(0.0), ..call(&SCORED, 3) };
    assert_eq!(ids(&SCORED, &ask(&here, none).await), ["a1", "a2", "a3"]);
    let off = RerankingOptions { lambda: 1.0, ..without_exploration() };
    let here = service(Some(shop(&DIRECTIONS)), off);
    let some = Rerank { diversity: Some(0.2), ..call(&SCORED, 3) };
    assert_eq!(ids(&SCORED, &ask(&here, some).await), ["a1", "b1", "a2"]);
}

#[tokio::test]
async fn explain_reports_the_rule_and_distance_of_each_move() {
    let here = service(Some(shop(&DIRECTIONS)), without_exploration());
    let explained = ask(&here, Rerank { explain: true, ..call(&SCORED, 3) }).await;
    assert_eq!(ids(&SCORED, &explained), ["a1", "b1", "a2"]);
    let moved = |from, to| Move { rule: "diversity".into(), from, to };
    let expected =
        [(1, vec![]), (4, vec![moved(None, Some(2))]), (2, vec![moved(Some(2), Some(3))])];
    assert_eq!(explained.moves, expected);
}

/// The demo of `docs/rules.md`: rules of a surface, with the table here and with what comes with the
/// scores.
#[tokio::test]
async fn rules_of_a_surface_give_the_same_list_locally_and_remotely() {
    let rules = r#"[
        {"rule": "boost", "filter": {"must": [{"field": "categories", "any": ["b"]}]}, "factor": 2},
        {"rule": "pin", "filter": {"must": [{"field": "item_id", "any": ["a3"]}]}, "place": 2},
        {"rule": "cap", "column": "categories", "max": 1, "window": 2},
        {"rule": "diversity", "lambda": 1.0}
    ]"#;
    let rules: Vec<RuleOptions> = serde_json::from_str(rules).unwrap();
    let items = shop(&DIRECTIONS);
    let table = Arc::clone(&items.items);
    let new = |items| {
        let surfaces = [("home".to_owned(), rules.clone())].into();
        let options = without_exploration();
        RerankingService::new(RerankingParts { items, options, surfaces }).unwrap()
    };
    let (here, apart) = (new(Some(items)), new(None));
    let asked = Rerank { surface: "home".into(), explain: true, ..call(&SCORED, 4) };
    let answer = ask(&here, asked.clone()).await;
    assert_eq!(ids(&SCORED, &answer), ["b1", "a3", "new", "a1"]);
    assert_eq!(answer.places[1].rule, "pin");
    let inputs = rule_inputs(&without_exploration(), &rules);
    let indices = asked.items.indices_in(&table).into_owned();
    let mut given = facts(&DIRECTIONS);
    given.rules = table.view().rule_facts(&inputs, &indices);
    let told = ask(&apart, Rerank { facts: Some(Arc::new(given)), ..asked.clone() }).await;
    assert_eq!(told, answer);
    let plain = ask(&here, call(&SCORED, 4)).await;
    assert_eq!(ids(&SCORED, &plain)[0], "a1", "the rules are of the surface");
    let other = Rerank { surface: "hom".into(), ..asked };
    let error = here.call(Context::background(), other).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn empty_and_inconsistent_calls() {
    let here = service(Some(shop(&DIRECTIONS)), RerankingOptions::default());
    let none = ask(&here, call(&[], 5)).await;
    assert_eq!((none.places.len(), none.skipped.len()), (0, 0));
    let all = ask(&here, call(&SCORED, 500)).await;
    assert_eq!(all.places.len(), 5);
    let scored = [("nowhere", 0.4), ("a1", 0.2)];
    let unknown = ask(&here, call(&scored, 5)).await;
    assert_eq!(ids(&scored, &unknown), ["nowhere", "a1"], "an item without facts is still ranked");
    let error = here.call(Context::background(), call(&SCORED, 0)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("`k`"), "{}", error.message);
    let odd = Rerank { ctr: Arc::from([0.5]), ..call(&SCORED, 2) };
    let error = here.call(Context::background(), odd).await.unwrap_err();
    assert!(error.message.contains("1 entries of `ctr` for 5 `items`"), "{}", error.message);
    let late = Context::background().within(Duration::ZERO);
    let error = here.call(late, call(&SCORED, 2)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
}

#[tokio::test]
async fn a_repeated_item_of_a_remote_call_is_placed_once() {
    let apart = service(None, without_exploration());
    let scored = [("a", 0.1), ("b", 0.2), ("a", 0.3)];
    let reranked = ask(&apart, call(&scored, 5)).await;
    assert_eq!(reranked.places.iter().map(|place| place.candidate).collect::<Vec<_>>(), [2, 1]);
}

/// The chances of a place are known without drawing: equal to the propensities of the list, and to the frequencies over
/// other seeds.
#[tokio::test]
async fn the_reported_chances_of_a_list_equal_those_it_was_drawn_with() {
    let options = RerankingOptions { exploration_share: 0.4, lambda: 1.0, ..Default::default() };
    let service = service(None, options);
    let mut given = facts(&[]);
    // Two fresh ones, so that a draw has a choice.
    given.created_at[3] = Some(AS_OF - DAY);
    let given = Some(Arc::new(given));
    let made = |seed| Rerank { facts: given.clone(), seed, ..call(&SCORED, 4) };
    let mut seen = std::collections::HashMap::<Vec<u32>, usize>::new();
    for seed in 0..4_000 {
        let reply = ask(&service, made(seed)).await;
        let list: Vec<u32> = reply.places.iter().map(|place| place.candidate).collect();
        let chances = service.chances(&made(0), &list, &[1.0; 5]).unwrap();
        for (place, chance) in reply.places.iter().zip(&chances) {
            let propensity = f64::from(place.propensity.unwrap());
            assert!((chance.chance - propensity).abs() < 1e-6, "{place:?} {chance:?}");
            assert!((chance.expected - 1.0).abs() < 1e-6, "the place is filled: {chance:?}");
        }
        *seen.entry(list).or_default() += 1;
    }
    for (list, times) in seen.iter().filter(|(_, times)| **times > 200) {
        let chances = service.chances(&made(0), list, &[1.0; 5]).unwrap();
        let chance: f64 = chances.iter().map(|place| place.chance).product();
        let share = *times as f64 / 4_000.0;
        let error = (chance * (1.0 - chance) / 4_000.0).sqrt();
        assert!((share - chance).abs() < 4.0 * error, "{list:?}: {share} {chance}");
    }
    // Under other values: the best is another, and the fresh ones keep their part of the draw.
    let other = Rerank { ctr: [0.1, 0.2, 0.9, 0.3, 0.4].into(), ..made(0) };
    let chances = service.chances(&other, &[2, 4], &[0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
    assert_eq!(
        (chances[0].chance, chances[0].expected),
        (1.0, 0.0),
        "the first place draws nothing"
    );
    let explores = 0.4 * 4.0 / 3.0;
    assert!((chances[1].chance - (1.0 - explores + explores / 2.0)).abs() < 1e-6, "{chances:?}");
    assert!((chances[1].expected - explores / 2.0).abs() < 1e-6, "{chances:?}");
    assert!(service.chances(&other, &[7], &[0.0; 5]).is_err(), "item 7 is not a candidate");
}

/// A role without an item table, without diversity, whose surface `home` has these rules.
fn with_rules(rules: &str) -> RerankingService {
    let rules: Vec<RuleOptions> = serde_json::from_str(rules).unwrap();
    let surfaces = [("home".to_owned(), rules)].into();
    let options = RerankingOptions { lambda: 1.0, ..without_exploration() };
    RerankingService::new(RerankingParts { items: None, options, surfaces }).unwrap()
}

/// A formula of values says the order; what is sold and drawn goes by click probability.
#[tokio::test]
async fn the_order_goes_by_worth_and_sponsored_places_by_click_probability() {
    let service = with_rules(r#"[{"rule": "sponsored", "bid": "bid", "places": [2]}]"#);
    let mut given = facts(&[]);
    // Of a2, a3, b1 and new: equal bids but the last, whose probability is no number.
    given.rules.numbers = vec![vec![f32::NAN, 1.0, 1.0, 1.0, 9.0]];
    let asked = Rerank {
        ctr: [0.50, 0.49, 0.48, 0.45, f32::NAN].into(),
        worth: Some([1.0, 2.0, 9.0, 8.0, 7.0].into()),
        facts: Some(Arc::new(given)),
        surface: "home".into(),
        ..call(&SCORED, 5)
    };
    let answer = ask(&service, asked.clone()).await;
    assert_eq!(ids(&SCORED, &answer), ["a3", "a2", "b1", "new", "a1"]);
    assert_eq!(answer.places[1].rule, "sponsored");
    let short = Rerank { worth: Some([1.0].into()), ..asked };
    let error = service.call(Context::background(), short).await.unwrap_err();
    assert!(error.message.contains("1 entries of `worth` for 5"), "{error}");
}

#[tokio::test]
async fn thompson_sampling_draws_by_click_probability_whatever_items_are_worth() {
    let service = with_rules(r#"[{"rule": "exploration", "share": 0.5, "draw": "thompson"}]"#);
    let mut given = facts(&[]);
    given.created_at = vec![Some(AS_OF - DAY); 5];
    given.rules.stats = vec![(0, 0); 5];
    let by_ctr =
        Rerank { facts: Some(Arc::new(given)), surface: "home".into(), ..call(&SCORED, 3) };
    let prices: Arc<[f32]> = by_ctr.ctr.iter().map(|ctr| ctr * 1_000.0).collect();
    let by_price = Rerank { worth: Some(prices), ..by_ctr.clone() };
    for seed in 0..20 {
        let of = |call: &Rerank| Rerank { seed, ..call.clone() };
        let (plain, priced) =
            (ask(&service, of(&by_ctr)).await, ask(&service, of(&by_price)).await);
        for (plain, priced) in plain.places.iter().zip(&priced.places) {
            assert_eq!((plain.candidate, &plain.rule), (priced.candidate, &priced.rule));
            assert_eq!(plain.propensity, priced.propensity, "the same prior, the same draw");
        }
    }
}
