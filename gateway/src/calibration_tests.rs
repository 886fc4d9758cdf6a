//! Predicted probabilities against observed outcomes.

use plugrank_contract::{EventType, ExposedArm};
use plugrank_store::ExposureRow;
use serde_json::json;

use super::*;
use crate::memory_store as store;

const NOW: TimestampMs = 1_800_000_000_000;

fn exposure(request: &str, arm: &str) -> Exposure {
    let item = |id: &str, ctr: f32| ExposedItem {
        item_id: id.into(),
        score: Some(ctr),
        ctr: Some(ctr),
        scores: vec![ctr / 8.0],
        propensity: None,
        features: Default::default(),
    };
    Exposure {
        request_id: request.to_owned(),
        timestamp: NOW,
        user_id: "u".into(),
        surface: Some("home".to_owned()),
        arms: vec![ExposedArm { layer: "l".into(), experiment: "e".into(), arm: arm.into() }],
        forced_arms: false,
        bundle: None,
        rung: "full".to_owned(),
        degraded: false,
        late: false,
        failed: false,
        coverage: 1.0,
        features: Default::default(),
        tasks: vec!["purchase".to_owned()],
        items: vec![item("a", 0.5), item("b", 0.25), item("below", 0.125)],
        rerank: Vec::new(),
    }
}

fn event(request: &str, item: &str, kind: &EventType, at: TimestampMs) -> Event {
    Event {
        event_id: format!("{request}-{item}-{}", kind.name),
        event_type: kind.clone(),
        user_id: "u".into(),
        item_id: item.into(),
        value: None,
        request_id: Some(request.to_owned()),
        position: None,
        surface: None,
        timestamp: at,
    }
}

#[tokio::test]
async fn predictions_are_compared_with_outcomes_once() {
    let store: Arc<dyn Store> = Arc::new(store::MemoryStore::default());
    let buy = EventType { name: "buy".into(), feedback: Feedback::Positive, weight: 1.0 };
    let (click, shown) = (EventType::click(), EventType::impression());
    let lists = [exposure("r1", "x"), exposure("r2", "y")];
    store.append_exposures(lists.iter().map(ExposureRow::from).collect()).await.unwrap();
    let events = vec![
        event("r1", "a", &shown, NOW),
        event("r1", "b", &shown, NOW),
        event("r1", "a", &click, NOW + 1_000),
        event("r1", "a", &buy, NOW + 60_000),
    ];
    store.append_events(events).await.unwrap();
    let metrics = CalibrationMetrics::register(&mut Registry::default());
    let tasks = BTreeMap::from([("buy".to_owned(), "purchase".to_owned())]);
    let began: Began = Box::new(|name| (name == "e").then_some(NOW - 1));
    let mut watch = CalibrationWatch::new((Arc::clone(&store), began), tasks, metrics.clone(), NOW);
    for minutes in [20, 40, 50, 90] {
        watch.count(NOW + minutes * 60_000).await.unwrap();
    }
    let labels_of = |task: &str| CohortLabels {
        task: task.to_owned(),
        surface: "home".to_owned(),
        cohort: "cold_both",
        cache: "whole",
    };
    let sums = |task: &str| {
        let labels = labels_of(task);
        let predicted = metrics.predicted.get_or_create(&labels).get();
        (predicted, metrics.observed.get_or_create(&labels).get())
    };
    assert_eq!(sums(MAIN), (0.75, 1.0), "items that were not seen do not count");
    assert_eq!(sums("purchase"), (0.75 / 8.0, 1.0));
    let arm = |arm: &str| {
        let arm = arm.to_owned();
        let labels = ArmLabels { task: MAIN.to_owned(), experiment: "e".to_owned(), arm };
        metrics.arm_predicted.get_or_create(&labels).get()
    };
    assert_eq!((arm("x"), arm("y"), metrics.unseen.get()), (0.75, 0.0, 1));
    let kept = |began| {
        let store = Arc::clone(&store);
        async move { json!(kept::of_experiment(&store, "e", began).await.unwrap()) }
    };
    let found = kept(NOW - 1).await;
    let expected = json!([
        {"arm": "x", "task": "main", "items": 2, "predicted": 0.75, "observed": 1.0, "ratio": 1.0 / 0.75},
        {"arm": "x", "task": "purchase", "items": 2, "predicted": 0.09375, "observed": 1.0, "ratio": 1.0 / 0.09375},
    ]);
    assert_eq!(found, expected);
    assert_eq!(kept(NOW + 1).await, json!([]), "an experiment of the name that began later");
}

#[tokio::test]
async fn lists_with_missing_vectors_are_counted_separately() {
    let store: Arc<dyn Store> = Arc::new(store::MemoryStore::default());
    let lists = [exposure("r1", "x"), Exposure { coverage: 0.5, ..exposure("r2", "x") }];
    store.append_exposures(lists.iter().map(ExposureRow::from).collect()).await.unwrap();
    let shown = EventType::impression();
    let events = ["r1", "r2"].map(|request| event(request, "a", &shown, NOW));
    store.append_events(events.to_vec()).await.unwrap();
    let metrics = CalibrationMetrics::register(&mut Registry::default());
    let began: Began = Box::new(|_| None);
    let parts = (Arc::clone(&store), began);
    let mut watch = CalibrationWatch::new(parts, BTreeMap::new(), metrics.clone(), NOW);
    watch.count(NOW + 40 * 60_000).await.unwrap();
    for cache in ["whole", "partial"] {
        let (task, surface) = (MAIN.to_owned(), "home".to_owned());
        let labels = CohortLabels { task, surface, cohort: "cold_both", cache };
        assert_eq!(metrics.predicted.get_or_create(&labels).get(), 0.5, "{cache}");
    }
    let gone = kept::of_experiment(&store, "e", 0).await.unwrap();
    assert_eq!(gone, [], "the experiment is gone");
}
