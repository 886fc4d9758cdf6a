//! Calibration watch: what models predicted against what users did, from the logs of exposures and events.
//!
//! A list counts once the time has passed in which its clicks come, and only where events say what of it was
//! seen. Of many lists a sample is taken.

pub(crate) mod kept;
#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use plugrank_contract::{Event, ExposedItem, Exposure, Feedback, ItemId, TimestampMs};
use plugrank_store::{Store, StoreError, TimeRange};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use self::kept::{Began, ByExperiment};
use crate::{clock::Clock, lease::Lease, metrics::register_all};

/// How often lists are counted.
const EVERY: Duration = Duration::from_secs(600);
/// How long after a list its events may come.
const DELAY_MS: i64 = 30 * 60_000;
/// Lists of one turn that are counted, at most.
const SAMPLE: usize = 2_000;
/// Entries read at a time.
const PAGE: usize = 1_000;
/// Impressions below which an item is cold.
const COLD_IMPRESSIONS: u64 = 5;
/// The main label.
const MAIN: &str = "main";

type Amount = Counter<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CohortLabels {
    task: String,
    surface: String,
    cohort: &'static str,
    cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmLabels {
    task: String,
    experiment: String,
    arm: String,
}

/// Clicks that were predicted, and that came.
#[derive(Clone, Debug, Default)]
pub(crate) struct CalibrationMetrics {
    predicted: Family<CohortLabels, Amount>,
    observed: Family<CohortLabels, Amount>,
    arm_predicted: Family<ArmLabels, Amount>,
    arm_observed: Family<ArmLabels, Amount>,
    unseen: Counter,
}

impl CalibrationMetrics {
    pub(crate) fn register(to: &mut Registry) -> Self {
        let ours = Self::default();
        let all = CohortLabels {
            task: MAIN.to_owned(),
            surface: String::new(),
            cohort: "warm",
            cache: "whole",
        };
        for family in [&ours.predicted, &ours.observed] {
            drop(family.get_or_create(&all));
        }
        let predicted = "Sum of the probabilities of items that were seen";
        let of_arm =
            "Sum of the probabilities of items that an experiment's arm showed and that were seen";
        let observed = "What users did with these items";
        register_all(
            to,
            [
                ("calibration_predicted", predicted, &ours.predicted),
                ("calibration_observed", observed, &ours.observed),
            ],
        );
        register_all(
            to,
            [
                ("calibration_arm_predicted", of_arm, &ours.arm_predicted),
                ("calibration_arm_observed", observed, &ours.arm_observed),
            ],
        );
        to.register(
            "calibration_unseen_lists",
            "Served lists of which no event says what was seen",
            ours.unseen.clone(),
        );
        ours
    }
}

/// Counts lists in turns, while this gateway has the lease; ends only by being dropped.
pub(crate) async fn run(mut watch: CalibrationWatch, lease: Lease, clock: Clock) {
    loop {
        tokio::time::sleep(EVERY).await;
        let turn = async {
            match lease.is_held(EVERY).await? {
                true => watch.count(clock.now_ms()).await,
                false => {
                    watch.counted_until = clock.now_ms() - DELAY_MS;
                    Ok(())
                }
            }
        };
        if let Err(error) = turn.await {
            tracing::warn!(%error, "predictions are not compared with their outcomes");
        }
    }
}

/// Counts lists, from a moment on.
pub(crate) struct CalibrationWatch {
    store: Arc<dyn Store>,
    began: Began,
    /// Type of event to the further task it is the label of.
    tasks: BTreeMap<String, String>,
    metrics: CalibrationMetrics,
    counted_until: TimestampMs,
}

/// What is known of an item of a list.
#[derive(Default)]
struct Seen {
    clicked: bool,
    tasks: HashSet<String>,
}

impl CalibrationWatch {
    pub(crate) fn new(
        (store, began): (Arc<dyn Store>, Began),
        tasks: BTreeMap<String, String>,
        metrics: CalibrationMetrics,
        now: TimestampMs,
    ) -> Self {
        Self { store, began, tasks, metrics, counted_until: now - DELAY_MS }
    }

    /// Counts the lists whose time has passed since the last turn.
    pub(crate) async fn count(&mut self, now: TimestampMs) -> Result<(), StoreError> {
        let to = now - DELAY_MS;
        let lists = self.sample(TimeRange { from: self.counted_until, to }).await?;
        let mut seen = self.seen(&lists, TimeRange { from: self.counted_until, to: now }).await?;
        let mut by_arm = ByExperiment::new();
        for exposure in lists.into_values() {
            match seen.remove(&exposure.request_id) {
                Some(items) => self.add(&exposure, &items, &mut by_arm).await?,
                None => _ = self.metrics.unseen.inc(),
            }
        }
        let from = std::mem::replace(&mut self.counted_until, to);
        kept::add(&self.store, by_arm, from, &self.began).await
    }

    /// Lists by request, those of the least ids where there are too many: ids end in random bits, so their
    /// reverse is drawn by chance.
    async fn sample(&self, range: TimeRange) -> Result<BTreeMap<String, Exposure>, StoreError> {
        let (mut lists, mut next) = (BTreeMap::new(), None);
        loop {
            let page = self.store.scan_exposures(range, next, PAGE).await?;
            let scored = |one: &Exposure| one.items.iter().any(|item| item.ctr.is_some());
            for exposure in page.entries.into_iter().filter(scored) {
                lists.insert(exposure.request_id.chars().rev().collect::<String>(), exposure);
                if lists.len() > SAMPLE {
                    lists.pop_last();
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(lists);
            }
        }
    }

    /// What users did with the items of lists, by request.
    async fn seen(
        &self,
        lists: &BTreeMap<String, Exposure>,
        range: TimeRange,
    ) -> Result<HashMap<String, HashMap<ItemId, Seen>>, StoreError> {
        let wanted: HashSet<&str> = lists.values().map(|list| list.request_id.as_str()).collect();
        let mut seen: HashMap<String, HashMap<ItemId, Seen>> = HashMap::new();
        let mut next = None;
        loop {
            let page = self.store.scan_events(range, next, PAGE).await?;
            for Event { request_id, item_id, event_type, .. } in page.entries {
                let Some(request) = request_id.filter(|one| wanted.contains(one.as_str())) else {
                    continue;
                };
                let item = seen.entry(request).or_default().entry(item_id).or_default();
                if event_type.feedback == Feedback::Positive {
                    item.clicked = true;
                }
                if let Some(task) = self.tasks.get(&*event_type.name) {
                    item.tasks.insert(task.clone());
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(seen);
            }
        }
    }

    async fn add(
        &self,
        exposure: &Exposure,
        seen: &HashMap<ItemId, Seen>,
        by_arm: &mut ByExperiment,
    ) -> Result<(), StoreError> {
        let items: Vec<&ExposedItem> =
            exposure.items.iter().filter(|item| seen.contains_key(&item.item_id)).collect();
        let ids: Vec<ItemId> = items.iter().map(|item| item.item_id.clone()).collect();
        let stats = self.store.item_stats(&ids).await?;
        let history = self.store.history(&exposure.user_id, exposure.timestamp, 1, 0).await?;
        let new_user = history.entries.is_empty();
        for (item, stats) in items.into_iter().zip(stats) {
            let cohort = match (stats.impressions < COLD_IMPRESSIONS, new_user) {
                (false, false) => "warm",
                (true, false) => "cold_item",
                (false, true) => "cold_user",
                (true, true) => "cold_both",
            };
            let Some(did) = seen.get(&item.item_id) else { continue };
            let mut add = |task: &str, said: (f32, bool)| {
                self.add_task(exposure, cohort, (task, said), by_arm);
            };
            if let Some(ctr) = item.ctr {
                add(MAIN, (ctr, did.clicked));
            }
            for (task, probability) in exposure.tasks.iter().zip(&item.scores) {
                if self.tasks.values().any(|known| known == task) {
                    add(task, (*probability, did.tasks.contains(task)));
                }
            }
        }
        Ok(())
    }

    fn add_task(
        &self,
        exposure: &Exposure,
        cohort: &'static str,
        (task, (predicted, happened)): (&str, (f32, bool)),
        by_arm: &mut ByExperiment,
    ) {
        let (predicted, observed) = (f64::from(predicted), f64::from(u8::from(happened)));
        if !predicted.is_finite() || predicted < 0.0 {
            return;
        }
        let surface = exposure.surface.clone().unwrap_or_default();
        let cache = if exposure.coverage < 1.0 { "partial" } else { "whole" };
        let labels = CohortLabels { task: task.to_owned(), surface, cohort, cache };
        self.metrics.predicted.get_or_create(&labels).inc_by(predicted);
        self.metrics.observed.get_or_create(&labels).inc_by(observed);
        for given in exposure.arms.iter().filter(|_| !exposure.forced_arms) {
            let arms = by_arm.entry(given.experiment.clone()).or_default();
            let tasks = arms.entry(given.arm.clone()).or_default();
            tasks.entry(task.to_owned()).or_default().add(predicted, observed);
            let labels = ArmLabels {
                task: task.to_owned(),
                experiment: given.experiment.clone(),
                arm: given.arm.clone(),
            };
            self.metrics.arm_predicted.get_or_create(&labels).inc_by(predicted);
            self.metrics.arm_observed.get_or_create(&labels).inc_by(observed);
        }
    }
}
