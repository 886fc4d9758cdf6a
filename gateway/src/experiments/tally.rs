//! Counting an experiment's units from the logs of exposures and events.
//!
//! What is older than [`SETTLE`] is counted once and kept; what is younger is counted anew at every look, as
//! entries may still come. So a look costs what was written since the one before, and a few minutes of the
//! logs more.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use plugrank_contract::{Event, Exposure, TimestampMs};
use plugrank_experiments::{
    Experiment, GuardrailMetric, UnitKind,
    statistics::{CatalogShown, Collected, Collector, Row, Schema, ShownItems},
};
use plugrank_store::{Store, StoreError, TimeRange};

/// How long an entry of a log may take to come after its own time; one that takes longer counts from the next
/// restart on.
const SETTLE_MS: i64 = 10 * 60_000;
/// The part of the logs that is counted at a time.
const CHUNK_MS: i64 = 3_600_000;
/// How long before an experiment begins what users did explains what they do in it (CUPED).
const BEFORE_MS: i64 = 14 * 86_400_000;
/// Entries read at a time.
const PAGE: usize = 1_000;
/// Shortest time between two looks that are kept, to show the course of an experiment.
const LOOK_MS: i64 = 60_000;
/// Part of its age after which the next is kept: so their number grows with the logarithm of its age (some 280
/// in a quarter of a year).
const LOOK_PART: i64 = 30;
/// Units of an experiment that are counted here, at most.
const MAX_UNITS: usize = 2_000_000;

/// What is counted of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Design {
    name: String,
    /// Since when its shares are what they are.
    pub(super) from: TimestampMs,
    pub(super) began: TimestampMs,
    unit: UnitKind,
    surfaces: Vec<String>,
    /// Whether a guardrail watches how much of the catalog is shown.
    catalog: bool,
    pub(super) schema: Schema,
}

impl Design {
    pub(super) fn new(experiment: &Experiment, unit: UnitKind, tasks: &[String]) -> Self {
        Self {
            name: experiment.name.clone(),
            from: experiment.shares_since().unwrap_or_default(),
            began: experiment.began().unwrap_or_default(),
            unit,
            surfaces: experiment.target.surfaces.clone(),
            catalog: experiment
                .guardrails
                .iter()
                .any(|guardrail| guardrail.metric == GuardrailMetric::CatalogCoverage),
            schema: Schema {
                arms: experiment.arms.iter().map(|arm| arm.name.clone()).collect(),
                tasks: tasks.to_vec(),
            },
        }
    }
}

/// Why an experiment is not counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TallyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "it has more than {MAX_UNITS} units, as many as are counted here; analyse an export of the log"
    )]
    TooManyUnits,
}

/// What was counted of an experiment up to a moment.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) at: TimestampMs,
    pub(super) collected: Collected,
}

/// A part of the logs.
struct Chunk {
    units: Collector,
    /// What its lists have shown, where that is watched.
    shown: Option<ShownItems>,
}

/// An experiment, counted up to a moment.
pub(super) struct Tally {
    pub(super) design: Design,
    closed: Collector,
    /// What the lists of `closed` have shown, once that is watched.
    shown: Option<ShownItems>,
    /// Everything before this is in `closed`.
    settled: TimestampMs,
    /// How `closed` was, oldest first.
    looks: Vec<Look>,
    /// What users did before the experiment.
    before: HashMap<String, f64>,
    /// Everything before this is in `before`.
    before_until: TimestampMs,
}

impl Tally {
    pub(super) fn new(design: Design) -> Self {
        Self {
            closed: Collector::new(design.schema.clone()),
            shown: None,
            settled: design.from,
            looks: Vec::new(),
            before: HashMap::new(),
            before_until: design.began - BEFORE_MS,
            design,
        }
    }

    /// The experiment up to now. Stopped in between, it goes on where it was.
    pub(super) async fn count(
        &mut self,
        store: &Arc<dyn Store>,
        now: TimestampMs,
    ) -> Result<Collected, TallyError> {
        while self.design.unit == UnitKind::User && self.before_until < self.design.began {
            let to = (self.before_until + 24 * CHUNK_MS).min(self.design.began);
            let counted = self.acts(store, TimeRange { from: self.before_until, to }).await?;
            for (user, acts) in counted {
                *self.before.entry(user).or_default() += acts;
            }
            self.before_until = to;
        }
        let items = if self.design.catalog { store.item_count().await? } else { 0 };
        if self.design.catalog && self.shown.is_none() {
            self.shown = Some(ShownItems::new(self.design.schema.arms.len(), items));
        }
        while self.settled < now - SETTLE_MS {
            let to = (self.settled + CHUNK_MS).min(now - SETTLE_MS);
            let Chunk { units, shown } =
                self.chunk(store, TimeRange { from: self.settled, to }).await?;
            self.closed.merge(units);
            if let Some((all, new)) = self.shown.as_mut().zip(shown) {
                all.merge(&new);
            }
            self.settled = to;
            self.keep_look();
        }
        // Clocks of gateways differ a little.
        let open = TimeRange { from: self.settled, to: now + SETTLE_MS };
        let Chunk { units, shown } = self.chunk(store, open).await?;
        let catalog = self.shown.as_ref().zip(shown).map(|(closed, mut shown)| {
            shown.merge(closed);
            CatalogShown { shown, items }
        });
        Ok(Collected { catalog, ..self.closed.collected_with(&units) })
    }

    fn keep_look(&mut self) {
        let last = self.looks.last().map_or(self.design.from, |look| look.at);
        let apart = LOOK_MS.max((self.settled - self.design.from) / LOOK_PART);
        if self.settled >= last + apart && self.closed.units() > 0 {
            self.looks.push(Look { at: self.settled, collected: self.closed.collected() });
        }
    }

    /// How it stood at earlier moments, oldest first.
    pub(super) fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// What each user did in a part of the log.
    async fn acts(
        &self,
        store: &Arc<dyn Store>,
        range: TimeRange,
    ) -> Result<HashMap<String, f64>, TallyError> {
        let (mut acts, mut next) = (HashMap::new(), None);
        loop {
            let page = store.scan_events(range, next, PAGE).await?;
            for event in page.entries.iter().filter(|event| event.event_type.is_positive()) {
                *acts.entry(event.user_id.as_str().to_owned()).or_default() += 1.0;
            }
            next = page.next;
            if next.is_none() {
                return Ok(acts);
            }
        }
    }

    async fn chunk(&self, store: &Arc<dyn Store>, range: TimeRange) -> Result<Chunk, TallyError> {
        let mut chunk = Collector::new(self.design.schema.clone());
        let mut shown = self.shown.as_ref().map(ShownItems::empty);
        let mut next = None;
        loop {
            let page = store.scan_exposures(range, next, PAGE).await?;
            for exposure in &page.entries {
                self.add_exposure((&mut chunk, shown.as_mut()), exposure);
            }
            if self.closed.units() + chunk.units() > MAX_UNITS {
                return Err(TallyError::TooManyUnits);
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let (mut seen, hasher) = (HashSet::new(), RandomState::new());
        loop {
            let page = store.scan_events(range, next, PAGE).await?;
            for event in &page.entries {
                let (Some(request), item) = (&event.request_id, &event.item_id) else {
                    self.add_event(&mut chunk, event);
                    continue;
                };
                // Of one showing a task counts once, however often it was reported.
                if seen.insert(hasher.hash_one((request, item, &event.event_type.name))) {
                    self.add_event(&mut chunk, event);
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(Chunk { units: chunk, shown });
            }
        }
    }

    fn add_exposure(
        &self,
        (chunk, shown): (&mut Collector, Option<&mut ShownItems>),
        exposure: &Exposure,
    ) {
        let Design { name, schema, unit, .. } = &self.design;
        let given = exposure.arms.iter().find(|given| given.experiment == *name);
        let place = |arm: &str| schema.arms.iter().position(|known| known == arm);
        let Some(arm) = given.and_then(|given| place(&given.arm)) else { return };
        if exposure.forced_arms {
            return;
        }
        let unit = match unit {
            UnitKind::User => exposure.user_id.as_str(),
            UnitKind::Request => &exposure.request_id,
        };
        let count = |happened: bool| f64::from(u8::from(happened));
        let row = Row {
            exposures: 1.0,
            outcomes: vec![0.0; schema.tasks.len()],
            value: 0.0,
            covariate: self.before.get(unit).copied(),
            late: count(exposure.late),
            degraded: count(exposure.degraded),
            errors: count(exposure.failed),
            coverage: f64::from(exposure.coverage),
        };
        chunk.add(arm, unit, &row);
        if let Some(shown) = shown {
            shown.add(arm, unit, exposure.items.iter().map(|item| item.item_id.as_str()));
        }
    }

    fn add_event(&self, chunk: &mut Collector, event: &Event) {
        let Design { schema, unit, surfaces, .. } = &self.design;
        let task = schema.tasks.iter().position(|task| **task == *event.event_type.name);
        let unit = match unit {
            UnitKind::User => Some(event.user_id.as_str()),
            UnitKind::Request => event.request_id.as_deref(),
        };
        let (Some(task), Some(unit)) = (task, unit) else { return };
        let elsewhere = |surface: &String| !surfaces.is_empty() && !surfaces.contains(surface);
        if event.surface.as_ref().is_some_and(elsewhere) {
            return;
        }
        // Who was shown nothing of the experiment is no unit of it.
        let Some(arm) = self.closed.arm_of(unit).or_else(|| chunk.arm_of(unit)) else { return };
        let mut outcomes = vec![0.0; schema.tasks.len()];
        outcomes[task] = 1.0;
        let value = event.value.unwrap_or_default();
        chunk.add(arm, unit, &Row { outcomes, value, ..Row::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_kept_at_intervals_that_grow_with_the_experiments_age() {
        let experiment = Experiment { name: "e".to_owned(), ..Experiment::default() };
        let tasks = ["click".to_owned()];
        let mut design = Design::new(&experiment, UnitKind::User, &tasks);
        design.schema.arms = vec!["a".to_owned(), "b".to_owned()];
        let mut tally = Tally::new(design);
        tally.keep_look();
        assert!(tally.looks().is_empty(), "no unit has been counted");
        let row = Row { outcomes: vec![1.0], ..Row::default() };
        tally.closed.add(0, "u", &row);
        for minute in 1..=90 * 24 * 60 {
            tally.settled = minute * 60_000;
            tally.keep_look();
        }
        let looks = tally.looks();
        assert_eq!(looks[..3].iter().map(|look| look.at / 60_000).collect::<Vec<_>>(), [1, 2, 3]);
        assert!((100..400).contains(&looks.len()), "{}", looks.len());
        let [.., before, last] = looks else { panic!("there are two") };
        assert!(last.at - before.at <= last.at / 29, "{} after {}", last.at, before.at);
    }
}
