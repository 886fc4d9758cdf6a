//! Automatic steps and stops of experiments, on a paused clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plugrank_contract::{ExposedArm, ExposedItem, Exposure, Item};
use plugrank_experiments::{
    Arm, DefinitionChange, Experiment, Guardrail, GuardrailMetric, Layer, Ramp,
};
use plugrank_store::{ExposureRow, NewItem, Store};
use prometheus_client::registry::Registry;

use super::{ExperimentMetrics, Experiments, ExperimentsOptions, Judge, LEASE, Who};
use crate::{clock::Clock, lease::Lease, memory_store as store};

const MINUTE: Duration = Duration::from_secs(60);
const USERS: usize = 14_000;

struct Shop {
    store: Arc<dyn Store>,
    experiments: Arc<Experiments>,
    clock: Clock,
}

impl Shop {
    fn start() -> Self {
        let experiments = Arc::new(Experiments::new(ExperimentsOptions::default()));
        Self { store: Arc::new(store::MemoryStore::default()), experiments, clock: Clock::start() }
    }

    fn judge(&self, withdrawn: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Judge {
        Judge {
            lease: Lease::new(Arc::clone(&self.store), LEASE, self.clock),
            experiments: Arc::clone(&self.experiments),
            tallies: Arc::default(),
            withdrawn: Box::new(withdrawn),
            store: Arc::clone(&self.store),
            tasks: vec!["click".to_owned()],
            clock: self.clock,
            metrics: ExperimentMetrics::register(&mut Registry::default()),
        }
    }

    /// Starts an experiment at 1%, with a step every half hour and a guardrail on late lists.
    async fn begin(&self) {
        self.begin_with(GuardrailMetric::Late, 0.01).await;
    }

    async fn begin_with(&self, metric: GuardrailMetric, margin: f64) {
        let arm = |name: &str, bundle: Option<&str>| {
            let mut arm = Arm { name: name.to_owned(), permille: Some(500), ..Arm::default() };
            arm.settings.bundle = bundle.map(str::to_owned);
            arm
        };
        let experiment = Experiment {
            name: "two".to_owned(),
            layer: "models".to_owned(),
            control: "old".to_owned(),
            arms: vec![arm("old", None), arm("new", Some("m2"))],
            ramp: Some(Ramp { every_ms: Some(30 * 60_000), ..Ramp::default() }),
            guardrails: vec![Guardrail { metric, margin }],
            ..Experiment::default()
        };
        let layer = Layer { name: "models".to_owned(), ..Layer::default() };
        let written =
            self.experiments.write(&self.store, (self.clock.now_ms(), "request"), |all| {
                all.layers.push(layer.clone());
                all.experiments.push(experiment.clone());
                Ok(())
            });
        written.await.unwrap();
    }

    /// Every user is shown a list now; of those of the new arm some come late.
    async fn serve(&self, late_every: usize) {
        self.serve_lists(late_every, |_, _| Vec::new()).await;
    }

    /// The same, with lists of items by whether the arm is the new one, and by user.
    async fn serve_lists(
        &self,
        late_every: usize,
        items: impl Fn(bool, usize) -> Vec<ExposedItem>,
    ) {
        let running = self.experiments.running();
        let nothing = BTreeMap::new();
        let exposure = |user: usize| {
            let user_id = format!("u{user}");
            let who = Who { user_id: &user_id, request_id: "", surface: "", profile: None };
            let arms = running.arms(&who, &nothing).unwrap();
            let given = &arms.list[0];
            Exposure {
                request_id: format!("{user}-{}", self.clock.now_ms()),
                timestamp: self.clock.now_ms(),
                user_id: user_id.as_str().into(),
                surface: None,
                arms: vec![ExposedArm {
                    layer: given.layer.clone(),
                    experiment: given.experiment.clone(),
                    arm: given.arm.clone(),
                }],
                forced_arms: false,
                bundle: None,
                rung: "full".to_owned(),
                degraded: false,
                late: given.arm == "new" && user.is_multiple_of(late_every),
                failed: false,
                coverage: 1.0,
                features: Default::default(),
                tasks: Vec::new(),
                items: items(given.arm == "new", user),
                rerank: Vec::new(),
            }
        };
        let rows = (0..USERS).map(|user| ExposureRow::from(&exposure(user)));
        self.store.append_exposures(rows.collect()).await.unwrap();
    }

    fn experiment(&self) -> Experiment {
        self.experiments.running().definitions().experiments[0].clone()
    }

    fn at(&self) -> u8 {
        self.experiment().ramp.unwrap().at
    }

    fn last(&self) -> DefinitionChange {
        self.experiment().history.last().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_ramp_advances_until_a_guardrail_stops_the_arm() {
    let shop = Shop::start();
    shop.begin().await;
    tokio::spawn(shop.judge(|_| None).run());
    tokio::time::sleep(29 * MINUTE).await;
    shop.serve(usize::MAX).await;
    assert_eq!(shop.at(), 1, "it is not time yet");
    tokio::time::sleep(3 * MINUTE).await;
    assert_eq!(shop.at(), 5);
    assert_eq!((&*shop.last().change, shop.last().moved_units), ("ramp 1% to 5%", true));
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!(shop.at(), 5, "no lists were shown since, so guardrails have no data");
    shop.serve(usize::MAX).await;
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(shop.at(), 25);
    shop.serve(3).await;
    tokio::time::sleep(2 * MINUTE).await;
    let stopped = shop.experiment();
    assert!(stopped.arms[1].stopped, "{:?}", stopped.history);
    assert_eq!(stopped.shares(), [1.0, 0.0], "its users have the control again");
    assert_eq!(shop.last().change, "arm new stopped");
    assert!(shop.last().cause.starts_with("guardrail late: worse"), "{}", shop.last().cause);
    tokio::time::sleep(600 * MINUTE).await;
    assert_eq!(shop.at(), 25, "the ramp stays");
}

#[tokio::test(start_paused = true)]
async fn an_arm_with_lower_catalog_coverage_is_stopped() {
    let shop = Shop::start();
    shop.store.put_items((0..4_000).map(item).collect()).await.unwrap();
    shop.begin_with(GuardrailMetric::CatalogCoverage, 0.05).await;
    tokio::spawn(shop.judge(|_| None).run());
    // Both arms show everything; the new one has a hundredth of the users, which does not lower its coverage.
    let broad =
        |_: bool, user: usize| (0..10).map(|n| exposed((user * 7 + n * 401) % 4_000)).collect();
    shop.serve_lists(usize::MAX, broad).await;
    tokio::time::sleep(32 * MINUTE).await;
    assert_eq!(shop.at(), 5, "{:?}", shop.experiment().history);
    shop.serve_lists(usize::MAX, broad).await;
    tokio::time::sleep(2 * MINUTE).await;
    assert!(!shop.experiment().arms[1].stopped);
    let narrow = |new: bool, user: usize| {
        let catalog = if new { 200 } else { 4_000 };
        (0..10).map(|n| exposed((user * 7 + n * 401) % catalog)).collect()
    };
    let shop = Shop::start();
    shop.store.put_items((0..4_000).map(item).collect()).await.unwrap();
    shop.begin_with(GuardrailMetric::CatalogCoverage, 0.05).await;
    tokio::spawn(shop.judge(|_| None).run());
    shop.serve_lists(usize::MAX, narrow).await;
    tokio::time::sleep(2 * MINUTE).await;
    assert!(shop.experiment().arms[1].stopped, "{:?}", shop.experiment());
    let cause = shop.last().cause;
    assert!(cause.starts_with("guardrail catalog_coverage: worse"), "{cause}");
}

fn item(number: usize) -> NewItem {
    let item = Item {
        item_id: format!("i{number}").as_str().into(),
        title: String::new(),
        text: String::new(),
        categories: Vec::new(),
        created_at: None,
        available: true,
        image_hash: None,
        features: Default::default(),
    };
    NewItem { item, image: None }
}

fn exposed(item: usize) -> ExposedItem {
    ExposedItem {
        item_id: format!("i{item}").as_str().into(),
        score: None,
        ctr: None,
        scores: Vec::new(),
        propensity: None,
        features: Default::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_arm_whose_model_was_withdrawn_is_stopped() {
    let shop = Shop::start();
    shop.begin().await;
    let judge = shop.judge(|version| (version == "m2").then(|| "it gave no number".to_owned()));
    tokio::spawn(judge.run());
    tokio::time::sleep(2 * MINUTE).await;
    assert!(shop.experiment().arms[1].stopped);
    assert_eq!(shop.last().cause, "model m2: it gave no number");
}

#[tokio::test(start_paused = true)]
async fn one_gateway_of_a_store_judges_and_another_takes_over() {
    let shop = Shop::start();
    shop.begin().await;
    let first = tokio::spawn(shop.judge(|_| None).run());
    tokio::time::sleep(2 * MINUTE).await;
    tokio::spawn(shop.judge(|_| Some("gone".to_owned())).run());
    tokio::time::sleep(10 * MINUTE).await;
    assert!(!shop.experiment().arms[1].stopped, "the first one judges");
    first.abort();
    tokio::time::sleep(5 * MINUTE).await;
    assert!(shop.experiment().arms[1].stopped, "the other took over");
}
