//! The controller: steps a stage down the ladder before deadlines are missed, and up again when
//! there is room.

use std::time::Duration;

use garde::Validate;
use plugrank_settings::rules::{finite, holds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    Rung, Stage,
    recent::{Recent, Thresholds},
};

/// How the controller decides when stages step down to a lesser answer, and up again.
///
/// ```
/// use garde::Validate;
/// use plugrank_budget::LadderOptions;
///
/// assert!(LadderOptions::default().validate().is_ok());
/// // A stage that stepped down at 60% of its share must not step up at 80%.
/// let crossed = LadderOptions { down_at: 0.6, up_at: 0.8, ..LadderOptions::default() };
/// assert!(crossed.validate().unwrap_err().to_string().contains("below budget.ladder.down_at"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct LadderOptions {
    /// How far back a percentile looks, in milliseconds.
    #[garde(range(min = 100, max = 60_000))]
    pub window_ms: u64,
    /// A stage steps down when its p99 reaches this part of its share.
    #[garde(range(min = 0.1, max = 10.0), custom(finite))]
    pub down_at: f64,
    /// A stage has room, and steps up after recover_ms, while its p99 stays below this part of its
    /// share. Below down_at, so that no stage oscillates.
    #[garde(range(min = 0.01, max = 10.0), custom(below_down_at(self.down_at)))]
    pub up_at: f64,
    /// Least time between a step and the next one down, in milliseconds.
    #[garde(range(min = 10, max = 60_000))]
    pub settle_ms: u64,
    /// How long a stage must have had room before it steps up by one rung, in milliseconds.
    #[garde(range(min = 10, max = 600_000))]
    pub recover_ms: u64,
    /// Put every request on one rung and keep it there, to measure what it costs.
    #[garde(skip)]
    #[schemars(example = &"idrec")]
    pub pin: Option<Rung>,
}

impl Default for LadderOptions {
    fn default() -> Self {
        Self {
            window_ms: 1000,
            down_at: 1.0,
            up_at: 0.6,
            settle_ms: 200,
            recover_ms: 800,
            pin: None,
        }
    }
}

fn below_down_at(down_at: f64) -> impl FnOnce(&f64, &()) -> garde::Result {
    move |up_at, ()| holds(*up_at < down_at, || format!("below budget.ladder.down_at ({down_at})"))
}

/// A stage went to another rung.
///
/// ```
/// use plugrank_budget::{Rung, Stage, Step};
///
/// let step =
///     Step { stage: Stage::Scoring, from: Rung::Full, to: Rung::FewerCandidates, p99: Some(1.2) };
/// assert!(step.is_down());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which stage.
    pub stage: Stage,
    /// Where it stood.
    pub from: Rung,
    /// Where it stands.
    pub to: Rung,
    /// Its p99 as a part of its share, when it had samples.
    pub p99: Option<f64>,
}

impl Step {
    /// Whether the step leads to a lesser answer.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.to > self.from
    }
}

/// The rung of each stage, moved by what the stages took. Plain data in, steps out.
///
/// ```
/// use std::time::Duration;
///
/// use plugrank_budget::{Ladder, LadderOptions, Rung, Stage};
/// use tokio::time::Instant;
///
/// let mut ladder = Ladder::new(LadderOptions::default());
/// let now = Instant::now();
/// assert_eq!(ladder.rung(Stage::Scoring), Rung::Full);
/// // Scoring took all of its share twice over, again and again.
/// (0..100).for_each(|_| ladder.observe(Stage::Scoring, 2.0, now));
/// let steps = ladder.advance(now + Duration::from_millis(1));
/// assert!(steps[0].is_down());
/// assert_eq!(ladder.rung(Stage::Scoring), Rung::FewerCandidates);
/// ```
#[derive(Clone, Debug)]
pub struct Ladder {
    options: LadderOptions,
    stages: [StageState; Stage::ALL.len()],
}

#[derive(Clone, Debug)]
struct StageState {
    recent: Recent,
    /// Place in [`Stage::rungs`].
    level: usize,
    stepped: Option<Instant>,
    /// Since when there has been room.
    calm_since: Option<Instant>,
}

impl Ladder {
    /// All stages on their best rung, or on the pinned one.
    #[must_use]
    pub fn new(options: LadderOptions) -> Self {
        let thresholds = Thresholds { down_at: options.down_at, up_at: options.up_at };
        let state = |stage: Stage| {
            // A pin on the ladder of one stage leaves the others whole.
            let pinned = |rung: &Rung| Some(*rung) == options.pin;
            let level = stage.rungs().iter().position(pinned).unwrap_or(0);
            let recent = Recent::new(Duration::from_millis(options.window_ms), thresholds);
            StageState { recent, level, stepped: None, calm_since: None }
        };
        Self { options, stages: Stage::ALL.map(state) }
    }

    /// The rung a stage stands on.
    #[must_use]
    pub fn rung(&self, stage: Stage) -> Rung {
        stage.rungs()[self.stages[stage as usize].level]
    }

    /// Whether the rungs are fixed by configuration.
    #[must_use]
    pub fn pinned(&self) -> bool {
        self.options.pin.is_some()
    }

    /// Recent p99 of a stage as a part of its share; `None` without samples.
    #[must_use]
    pub fn p99(&self, stage: Stage) -> Option<f64> {
        self.stages[stage as usize].recent.p99()
    }

    /// Notes what part of its share a stage took (1 = all of it; infinity: it had no room for the
    /// call at all).
    pub fn observe(&mut self, stage: Stage, part: f64, now: Instant) {
        self.stages[stage as usize].recent.add(now, part);
    }

    /// Lets time pass: the steps that are due. After a time without traffic there may be several up.
    pub fn advance(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.pinned() {
            return steps;
        }
        for stage in Stage::ALL {
            while let Some(step) = self.advance_stage(stage, now) {
                steps.push(step);
            }
        }
        steps
    }

    fn advance_stage(&mut self, stage: Stage, now: Instant) -> Option<Step> {
        let settle = Duration::from_millis(self.options.settle_ms);
        let recover = Duration::from_millis(self.options.recover_ms);
        let state = &mut self.stages[stage as usize];
        // What was measured last says nothing any more from then on.
        let outdated = state.recent.outdated_at().filter(|at| *at <= now);
        state.recent.expire(now);
        let since = |moment: Option<Instant>| {
            moment.map_or(Duration::MAX, |moment| now.saturating_duration_since(moment))
        };
        let pressed = state.recent.p99_reaches_down();
        let calm = !state.recent.p99_reaches_up();
        if !calm {
            state.calm_since = None;
        } else if state.calm_since.is_none() {
            state.calm_since = Some(outdated.unwrap_or(now));
        }
        let relieves = |level: &usize| stage.rungs()[*level].relieves();
        let to = if pressed && since(state.stepped) >= settle {
            (state.level + 1..stage.rungs().len()).find(relieves)?
        } else if calm && since(state.calm_since) >= recover {
            (0..state.level).rev().find(relieves)?
        } else {
            return None;
        };
        let p99 = state.recent.p99();
        let from = std::mem::replace(&mut state.level, to);
        // What was measured on the old rung says nothing of the new one.
        state.recent.clear();
        state.stepped = Some(now);
        let up = to < from;
        state.calm_since = state.calm_since.filter(|_| up).map(|since| since + recover);
        state.calm_since.get_or_insert(now);
        Some(Step { stage, from: stage.rungs()[from], to: stage.rungs()[to], p99 })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// Samples of `part` every 10 ms for `time`; the steps they lead to.
    async fn load(ladder: &mut Ladder, stage: Stage, part: f64, time: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..time.as_millis() / 10 {
            ladder.observe(stage, part, Instant::now());
            steps.extend(ladder.advance(Instant::now()));
            advance(MS(10)).await;
        }
        steps
    }

    #[tokio::test(start_paused = true)]
    async fn load_steps_down_rung_by_rung_to_the_lowest() {
        let mut ladder = Ladder::new(LadderOptions::default());
        let steps = load(&mut ladder, Stage::Scoring, 1.2, MS(2_000)).await;
        let rungs: Vec<Rung> = steps.iter().map(|step| step.to).collect();
        assert_eq!(rungs, [Rung::FewerCandidates, Rung::MissingVectors, Rung::RetrievalOrder]);
        assert!(
            Stage::Scoring.rungs().contains(&Rung::Idrec),
            "it saves nothing, but can be pinned"
        );
        assert!(steps.iter().all(Step::is_down));
        assert_eq!(steps[0].p99, Some(1.2));
        assert_eq!(ladder.rung(Stage::Scoring), Rung::RetrievalOrder);
        assert_eq!(ladder.rung(Stage::Retrieval), Rung::Full, "each stage has its own rung");
    }

    #[tokio::test(start_paused = true)]
    async fn steps_down_are_separated_by_the_settling_time() {
        let mut ladder = Ladder::new(LadderOptions::default());
        let begun = Instant::now();
        let mut moments = Vec::new();
        for _ in 0..100 {
            ladder.observe(Stage::Scoring, 2.0, Instant::now());
            moments.extend(ladder.advance(Instant::now()).iter().map(|_| begun.elapsed()));
            advance(MS(10)).await;
        }
        assert_eq!(moments[0], MS(20), "three slow samples are enough");
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= MS(200)), "{moments:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn between_the_thresholds_the_rung_stays() {
        let mut ladder = Ladder::new(LadderOptions::default());
        load(&mut ladder, Stage::Scoring, 1.2, MS(30)).await;
        assert_eq!(ladder.rung(Stage::Scoring), Rung::FewerCandidates);
        let steps = load(&mut ladder, Stage::Scoring, 0.8, MS(10_000)).await;
        assert_eq!(steps, []);
    }

    #[tokio::test(start_paused = true)]
    async fn low_load_steps_up_one_rung_at_a_time() {
        let mut ladder = Ladder::new(LadderOptions::default());
        load(&mut ladder, Stage::Scoring, 1.2, MS(430)).await;
        let below = ladder.rung(Stage::Scoring);
        let begun = Instant::now();
        let steps = load(&mut ladder, Stage::Scoring, 0.1, MS(700)).await;
        assert_eq!(steps, [], "not before it had room for 800 ms");
        let steps = load(&mut ladder, Stage::Scoring, 0.1, MS(4_300)).await;
        assert!(!steps.is_empty() && !steps.iter().any(Step::is_down));
        assert_eq!(steps[0].from, below);
        assert_eq!(ladder.rung(Stage::Scoring), Rung::Full);
        assert!(begun.elapsed() <= MS(5_000));
    }

    #[tokio::test(start_paused = true)]
    async fn without_traffic_it_recovers_too() {
        let mut ladder = Ladder::new(LadderOptions::default());
        load(&mut ladder, Stage::Scoring, f64::INFINITY, MS(2_000)).await;
        assert_eq!(ladder.rung(Stage::Scoring), Rung::RetrievalOrder);
        let begun = Instant::now();
        let mut idle = ladder.clone();
        while ladder.rung(Stage::Scoring) != Rung::Full {
            advance(MS(100)).await;
            ladder.advance(Instant::now());
            assert!(begun.elapsed() < MS(5_000));
        }
        // No request came meanwhile: the first one finds all the steps that were due.
        assert_eq!(idle.advance(Instant::now()).len(), 3);
        assert_eq!(idle.rung(Stage::Scoring), Rung::Full);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_slow_request_does_not_step_down() {
        let mut ladder = Ladder::new(LadderOptions::default());
        load(&mut ladder, Stage::Retrieval, 0.1, MS(500)).await;
        ladder.observe(Stage::Retrieval, 30.0, Instant::now());
        assert_eq!(load(&mut ladder, Stage::Retrieval, 0.1, MS(500)).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pinned_rung_holds_its_stages_only() {
        for (pin, expected) in [
            (Rung::Idrec, [Rung::Full, Rung::Idrec, Rung::Full]),
            (Rung::FewerCandidates, [Rung::FewerCandidates, Rung::FewerCandidates, Rung::Full]),
            (Rung::CtrOrder, [Rung::Full, Rung::Full, Rung::CtrOrder]),
            (Rung::Full, [Rung::Full; 3]),
        ] {
            let options = LadderOptions { pin: Some(pin), ..LadderOptions::default() };
            let mut ladder = Ladder::new(options);
            assert_eq!(load(&mut ladder, Stage::Scoring, 5.0, MS(1_000)).await, []);
            assert_eq!(Stage::ALL.map(|stage| ladder.rung(stage)), expected, "{pin}");
        }
    }
}
