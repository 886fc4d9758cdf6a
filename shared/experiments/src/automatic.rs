//! What the server does with an experiment by itself: the next step of the ramp, or an end to an arm.

use super::statistics::{GuardrailResult, GuardrailVerdict, Results};
use crate::Experiment;

/// A change that the results ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stop an arm: its units get the control.
    Stop {
        /// The arm.
        arm: String,
        /// Why.
        cause: String,
    },
    /// Let the experiment in further.
    Step {
        /// Percent of the units.
        to: u8,
        /// Why.
        cause: String,
    },
}

impl Action {
    /// Why.
    #[must_use]
    pub fn cause(&self) -> &str {
        match self {
            Self::Stop { cause, .. } | Self::Step { cause, .. } => cause,
        }
    }

    /// Does it to a definition; nothing where it is as it should be already.
    pub fn apply(&self, experiment: &mut Experiment) {
        match self {
            Self::Stop { arm, .. } => {
                let arms = experiment.arms.iter_mut();
                arms.filter(|one| one.name == *arm).for_each(|one| one.stopped = true);
            }
            Self::Step { to, .. } => {
                if let Some(ramp) = experiment.ramp.as_mut().filter(|ramp| ramp.at < *to) {
                    ramp.at = *to;
                }
            }
        }
    }
}

/// What is to be done at the moment `now` (milliseconds). Arms whose guardrail says so are stopped, whether or
/// not the lift is hidden. The ramp's next step is taken when its time has come, some arm is left, the sample
/// ratio holds, and every guardrail of the arms that are left has units enough and sees nothing worse.
#[must_use]
pub fn actions(experiment: &Experiment, results: &Results, now: i64) -> Vec<Action> {
    let left = |name: &str| {
        experiment
            .arms
            .iter()
            .any(|arm| arm.name == name && !arm.stopped && arm.name != experiment.control)
    };
    let watched = || results.guardrails.iter().filter(|one| left(&one.arm));
    let stopped: Vec<Action> =
        watched().filter(|one| one.verdict == GuardrailVerdict::Stop).map(stop).collect();
    if !stopped.is_empty() {
        return stopped;
    }
    step(experiment, results, now, left, watched().all(|one| one.verdict == GuardrailVerdict::Ok))
        .into_iter()
        .collect()
}

fn step(
    experiment: &Experiment,
    results: &Results,
    now: i64,
    left: impl Fn(&str) -> bool,
    guarded: bool,
) -> Option<Action> {
    let ramp = experiment.ramp.as_ref()?;
    let (every, to) = (i64::try_from(ramp.every_ms?).ok()?, ramp.next()?);
    let due = now - experiment.shares_since()? >= every;
    let some_left = experiment.arms.iter().any(|arm| left(&arm.name));
    let step = due && some_left && guarded && results.hidden.is_none();
    step.then(|| Action::Step { to, cause: format!("ramp: {every} ms at {}%", ramp.at) })
}

fn stop(judged: &GuardrailResult) -> Action {
    let at_least = judged.at_least.unwrap_or_default();
    let cause = format!(
        "guardrail {}: worse than the control by at least {at_least:.4}, {:.4} is allowed",
        judged.metric.as_str(),
        judged.margin
    );
    Action::Stop { arm: judged.arm.clone(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Arm, Guardrail, GuardrailMetric, Ramp,
        statistics::{Collector, ResultsOptions, Row, Schema, results},
    };

    const HOUR: i64 = 3_600_000;

    fn experiment(at: u8) -> Experiment {
        let arm = |name: &str| Arm { name: name.to_owned(), permille: Some(500), ..Arm::default() };
        let mut experiment = Experiment {
            control: "a".to_owned(),
            arms: vec![arm("a"), arm("b")],
            ramp: Some(Ramp { at, every_ms: Some(HOUR as u64), ..Ramp::default() }),
            guardrails: vec![Guardrail { metric: GuardrailMetric::Late, margin: 0.01 }],
            ..Experiment::default()
        };
        experiment.follow(None, 0, "request");
        experiment
    }

    /// Results of so many units an arm, of whose lists of the other arm one of `late_every` came late.
    fn found(experiment: &Experiment, units: [usize; 2], late_every: usize) -> Results {
        let arms = vec!["a".to_owned(), "b".to_owned()];
        let mut collector = Collector::new(Schema { arms, tasks: Vec::new() });
        for (arm, count) in units.into_iter().enumerate() {
            for unit in 0..count {
                let late = f64::from(u8::from(arm == 1 && unit % late_every == 0));
                let row = Row { exposures: 1.0, late, coverage: 1.0, ..Row::default() };
                collector.add(arm, &format!("{arm}-{unit}"), &row);
            }
        }
        let options = ResultsOptions {
            control: 0,
            shares: experiment.shares(),
            plan: experiment.plan.clone(),
            guardrails: experiment.guardrails.clone(),
            one_look: false,
            days: None,
        };
        results(&collector.collected(), &options).unwrap()
    }

    #[test]
    fn a_ramp_step_is_taken_when_due_and_no_guardrail_stops_it() {
        let experiment = experiment(5);
        let fine = found(&experiment, [9_500, 500], 10_000);
        assert_eq!(actions(&experiment, &fine, HOUR - 1), []);
        let Action::Step { to, .. } = &actions(&experiment, &fine, HOUR)[0] else {
            panic!("a step")
        };
        assert_eq!(*to, 25);
        let few = found(&experiment, [950, 50], 10_000);
        assert_eq!(actions(&experiment, &few, HOUR), [], "too few units to say");
        let worse = found(&experiment, [9_500, 500], 60);
        assert_eq!(actions(&experiment, &worse, HOUR), [], "it looks worse");
        let broken = found(&experiment, [9_500, 900], 10_000);
        assert_eq!(actions(&experiment, &broken, HOUR), [], "units are missing");
    }

    #[test]
    fn a_worse_arm_is_stopped_and_stays_stopped() {
        let mut experiment = experiment(5);
        let late = found(&experiment, [9_500, 500], 3);
        let stop = actions(&experiment, &late, 0);
        let Action::Stop { arm, cause } = &stop[0] else { panic!("a stop") };
        assert!(arm == "b" && cause.starts_with("guardrail late: worse"), "{cause}");
        stop[0].apply(&mut experiment);
        assert!(experiment.arms[1].stopped);
        assert_eq!(actions(&experiment, &late, 10 * HOUR), [], "nothing is left to let in");
    }

    #[test]
    fn an_outdated_step_does_not_lower_the_ramp() {
        let mut experiment = experiment(25);
        Action::Step { to: 5, cause: String::new() }.apply(&mut experiment);
        assert_eq!(experiment.ramp.unwrap().at, 25);
    }
}
