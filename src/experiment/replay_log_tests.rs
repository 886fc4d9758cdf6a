//! Simulated logs with known true values.

use std::sync::Arc;

use futures::FutureExt;
use plugrank_contract::{
    Context, Dtype, ExposedItem, Exposure, Matrix,
    reranking::{RankFacts, RuleFacts},
};
use plugrank_dataset::ExposureWriter;
use plugrank_reranking::{RerankingOptions, RerankingParts};
use plugrank_store::codec;
use plugrank_transport::Service;
use tempfile::TempDir;

use super::*;

const LISTS: u64 = 1_500;
const CANDIDATES: usize = 8;

/// A number from 0 to 1 (splitmix64).
fn drawn(seed: u64) -> f64 {
    let mut mixed = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
}

fn service(share: f64) -> RerankingService {
    let rule = json!({"rule": "exploration", "share": share, "max_impressions": 1_000_000});
    let options = RerankingOptions {
        lambda: 1.0,
        category_cap: 0,
        exploration_share: 0.0,
        ..RerankingOptions::default()
    };
    let rules = vec![serde_json::from_value(rule).unwrap()];
    let surfaces = [("home".to_owned(), rules)].into();
    RerankingService::new(RerankingParts { items: None, options, surfaces }).unwrap()
}

/// Chances that a user acts on candidates, were they first.
fn truth(list: u64) -> Vec<f64> {
    (0..CANDIDATES as u64).map(|item| 0.05 + 0.4 * drawn(1_000_000 + list * 8 + item)).collect()
}

/// How much of it is left at a place.
fn at_place(position: usize) -> f64 {
    0.8_f64.powi(position as i32)
}

/// Expectations of the model that made the log: half true.
fn logged(list: u64) -> Vec<f32> {
    let noise = |item: u64| 0.2 * drawn(2_000_000 + list * 8 + item);
    (0..).zip(truth(list)).map(|(item, truth)| (0.5 * truth + noise(item)) as f32).collect()
}

/// A log of lists of four, and what was acted on.
struct Log {
    folder: TempDir,
    acted: HashSet<(String, String)>,
    calls: Vec<(Rerank, Vec<u32>)>,
    service: RerankingService,
}

impl Log {
    fn make(share: f64) -> Self {
        let service = service(share);
        let folder = TempDir::new().unwrap();
        let mut file = ExposureWriter::create(folder.path()).unwrap();
        let (mut acted, mut calls) = (HashSet::new(), Vec::new());
        for list in 0..LISTS {
            let facts = RankFacts {
                categories: vec![Vec::new(); CANDIDATES],
                created_at: vec![None; CANDIDATES],
                with_vector: Vec::new(),
                vectors: Matrix::empty(0, Dtype::F32),
                rules: RuleFacts { stats: vec![(10, 1); CANDIDATES], ..RuleFacts::default() },
            };
            let ids = (0..CANDIDATES).map(|item| ItemId::from(format!("i{item}").as_str()));
            let call = Rerank {
                items: ids.collect(),
                ctr: logged(list).into(),
                worth: None,
                facts: Some(Arc::new(facts)),
                surface: "home".into(),
                k: 4,
                before: 0,
                diversity: None,
                explain: false,
                as_of: 1_800_000_000_000,
                seed: list,
            };
            let reply = service.call(Context::background(), call.clone()).now_or_never();
            let places = reply.unwrap().unwrap().places;
            let request_id = format!("r{list}");
            let mut items = Vec::new();
            for (position, place) in places.iter().enumerate() {
                let item_id = call.items.id_at(place.candidate as usize).unwrap().clone();
                let chance = truth(list)[place.candidate as usize] * at_place(position);
                if drawn(3_000_000 + list * 8 + position as u64) < chance {
                    acted.insert((request_id.clone(), item_id.as_str().to_owned()));
                }
                items.push(ExposedItem {
                    item_id,
                    score: Some(place.score),
                    ctr: None,
                    scores: Vec::new(),
                    propensity: place.propensity,
                    features: Default::default(),
                });
            }
            let exposure = Exposure {
                request_id,
                timestamp: call.as_of,
                user_id: format!("u{}", list % 300).as_str().into(),
                surface: Some("home".to_owned()),
                arms: Vec::new(),
                forced_arms: list % 50 == 0,
                bundle: Some("m1".to_owned()),
                rung: "full".to_owned(),
                degraded: false,
                late: false,
                failed: false,
                coverage: 1.0,
                features: Default::default(),
                tasks: Vec::new(),
                items,
                rerank: codec::encode(&call),
            };
            file.write(exposure).unwrap();
            let list = places.iter().map(|place| place.candidate).collect();
            calls.push((call, list));
        }
        file.finish().unwrap();
        Self { folder, acted, calls, service }
    }

    /// The estimates of a model that values candidates so, by list.
    fn replay(&self, values: impl Fn(u64) -> Vec<f32>) -> Result<ReplayedLog> {
        let file = self.folder.path().join("exposures.parquet");
        from_lists(&file, &self.service, &self.acted, 0.05, |served, _| {
            let values = values(served.request_id[1..].parse().unwrap());
            Ok(Ok(Valued { worth: values.clone(), ctr: values }))
        })
    }
}

fn truly(list: u64) -> Vec<f32> {
    truth(list).into_iter().map(|chance| chance as f32).collect()
}

#[test]
fn the_value_of_another_model_is_estimated() {
    let log = Log::make(0.4);
    // Of a model that knows the truth: what it would choose at each place but the first, which draws nothing.
    let mut sums = (0.0, 0.0);
    for (list, (call, shown)) in (0..).zip(&log.calls).filter(|(list, _)| list % 50 != 0) {
        let call = Rerank { ctr: truly(list).into(), ..call.clone() };
        let chances = log.service.chances(&call, shown, &truth(list)).unwrap();
        for (position, chance) in chances.iter().enumerate().skip(1) {
            sums = (sums.0 + chance.expected * at_place(position), sums.1 + 1.0);
        }
    }
    let truth = sums.0 / sums.1;
    let found = log.replay(truly).unwrap();
    let left_out = found.left_out.values().sum::<u64>();
    assert_eq!((found.lists, left_out, found.certain), (LISTS - 30, 30, LISTS - 30), "{found:?}");
    let results = &found.results;
    for estimate in [&results.inverse_propensity, &results.self_normalised, &results.doubly_robust]
    {
        let error = (estimate.value - truth).abs();
        assert!(error < 3.0 * estimate.standard_error, "{truth}: {found:?}");
    }
    let robust = &results.doubly_robust;
    assert!(truth > results.logged.value, "it is better: {truth} {found:?}");
    assert!(robust.standard_error < results.inverse_propensity.standard_error, "{found:?}");
    assert!(log_report(&found).contains("30 left out: the request named its arm"), "{found:?}");
}

#[test]
fn the_logging_models_estimate_equals_the_logged_value() {
    let found = Log::make(0.3).replay(logged).unwrap().results;
    assert!((found.effective - found.decisions).abs() < 1e-3 * found.decisions, "{found:?}");
    assert!((found.inverse_propensity.value - found.logged.value).abs() < 1e-5, "{found:?}");
}

#[test]
fn a_log_without_exploration_or_with_too_little_is_refused() {
    let none = Log::make(0.0).replay(truly).unwrap_err().to_string();
    assert!(
        none.contains("something was drawn") && none.contains("exposures.full_share"),
        "{none}"
    );
    let little = format!("{:#}", Log::make(0.004).replay(truly).unwrap_err());
    assert!(little.contains("too thin") && little.contains("lists were replayed"), "{little}");
}

#[test]
fn a_reply_without_a_candidate_has_no_values() {
    let item = |id: &str, ctr: f64| json!({"item_id": id, "ctr": ctr});
    let reply = json!({
        "items": [item("b", 0.25), item("a", 0.5)],
        "explain": {"placements": [
            {"item_id": "b", "value": {"click": 0.25, "item.price": 8.0}},
            {"item_id": "a", "value": {"click": 0.5, "item.price": null}},
        ]},
    });
    let plain = valued(&["a", "b"], &reply, None).ok().unwrap();
    assert_eq!((plain.worth, plain.ctr), (vec![0.5, 0.25], vec![0.5, 0.25]));
    let formula = ValueFormula::parse("item.price * click").unwrap();
    let worth = valued(&["a", "b"], &reply, Some(&formula)).ok().unwrap().worth;
    assert!(worth[0].is_nan() && worth[1] == 2.0, "{worth:?}");
    assert!(valued(&["a", "c"], &reply, None).is_err());
}
