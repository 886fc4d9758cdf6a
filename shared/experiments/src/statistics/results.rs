//! The results of an experiment: the sample-ratio check first.

use serde::{Deserialize, Serialize};

use super::{
    Collected, Comparison, Estimate, GuardrailResult, Measure, Metric, Power, SAMPLE_RATIO_ALPHA,
    SampleRatio, Sequential, guardrail, power,
    quantities::{EXPOSURES, TASKS},
    sample_ratio,
};
use crate::{AnalysisPlan, Guardrail};

/// Share of units seen in several arms from which on no lift is shown.
const CROSSED_MAX: f64 = 0.001;

/// How the results are to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultsOptions {
    /// Place of the control among the arms.
    pub control: usize,
    /// The share of units each arm should have.
    pub shares: Vec<f64>,
    /// What was planned.
    pub plan: AnalysisPlan,
    /// What must not get worse.
    pub guardrails: Vec<Guardrail>,
    /// Whether this is the one look that was planned, so that the sample ratio is judged by the
    /// chi-square test; otherwise by what stays valid at every look.
    pub one_look: bool,
    /// Days the units came in, where they are known.
    pub days: Option<f64>,
}

/// The results of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Arms.
    pub arms: Vec<ArmResult>,
    /// Name of the control.
    pub control: String,
    /// The sample-ratio check.
    pub sample_ratio: SampleRatio,
    /// Units that were seen in several arms.
    pub crossed: u64,
    /// Why no lift is shown.
    pub hidden: Option<String>,
    /// Every arm but the control by every metric; none where they are hidden.
    pub metrics: Vec<MetricResult>,
    /// Verdicts of the guardrails, hidden or not: they protect, they do not conclude.
    pub guardrails: Vec<GuardrailResult>,
}

/// One arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// Name.
    pub name: String,
    /// Units.
    pub units: u64,
    /// Exposures.
    pub exposures: f64,
    /// Outcomes by task.
    pub outcomes: Vec<TaskSum>,
    /// Share of the catalog that its lists have shown, where a guardrail watches that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_coverage: Option<f64>,
}

/// Outcomes of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSum {
    /// The task.
    pub task: String,
    /// Sum over the arm's units.
    pub sum: f64,
}

/// One arm by one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricResult {
    /// Such as `click/exposure`.
    pub metric: String,
    /// The arm.
    pub arm: String,
    /// As it was measured.
    pub plain: Comparison,
    /// Less what the covariate explains, if one varies.
    pub cuped: Option<Comparison>,
    /// By how much CUPED lowers the variance.
    pub variance_reduction: f64,
    /// Power, of the adjusted comparison if there is one.
    pub power: Option<Power>,
}

/// Works the results out. `None` if there are not two arms that should have units.
///
/// # Panics
/// If the options are of another number of arms.
#[must_use]
pub fn results(collected: &Collected, options: &ResultsOptions) -> Option<Results> {
    let names = &collected.schema.arms;
    assert_eq!(options.shares.len(), names.len(), "each arm has a share");
    let units: Vec<u64> = collected.arms.iter().map(super::Moments::units).collect();
    let ratio = sample_ratio(&units, &options.shares)?;
    let hidden = hidden(&ratio, collected, options);
    let sequential = Sequential::new(options.plan.alpha, options.plan.units);
    let others = || (0..names.len()).filter(|arm| *arm != options.control);
    let metrics = metrics(collected);
    let of_arm = |arm: usize| {
        let sequential = &sequential;
        metrics
            .iter()
            .filter_map(move |metric| compare(collected, options, sequential, arm, metric))
    };
    let shown: Vec<MetricResult> =
        if hidden.is_some() { Vec::new() } else { others().flat_map(of_arm).collect() };
    let judged = others().flat_map(|arm| {
        let sequential = &sequential;
        options.guardrails.iter().map(move |one| {
            let rule = (options.plan.alpha, sequential);
            guardrail::judge(one, collected, [options.control, arm], rule)
        })
    });
    Some(Results {
        arms: arms(collected),
        control: names[options.control].clone(),
        guardrails: judged.collect(),
        sample_ratio: ratio,
        crossed: collected.crossed,
        hidden,
        metrics: shown,
    })
}

fn hidden(ratio: &SampleRatio, collected: &Collected, options: &ResultsOptions) -> Option<String> {
    let p = if options.one_look { ratio.p } else { ratio.always_valid_p };
    if p < SAMPLE_RATIO_ALPHA {
        return Some(format!(
            "the arms have {:?} units where {:.0?} were due (p {p:.1e}): units went missing or \
             were counted twice in one arm, so a difference between arms may be theirs",
            ratio.units, ratio.expected
        ));
    }
    let all = ratio.units.iter().sum::<u64>() + collected.crossed;
    (collected.crossed as f64 > CROSSED_MAX * all as f64).then(|| {
        format!(
            "{} of {all} units were seen in more than one arm: shares changed meanwhile; analyse \
             the time since the last step of the ramp alone",
            collected.crossed
        )
    })
}

fn arms(collected: &Collected) -> Vec<ArmResult> {
    let catalog = collected.catalog.as_ref();
    let one = |(arm, (name, moments)): (usize, (&String, &super::Moments))| {
        let outcome = |(index, task): (usize, &String)| TaskSum {
            task: task.clone(),
            sum: moments.sum(TASKS + index),
        };
        ArmResult {
            name: name.clone(),
            units: moments.units(),
            exposures: moments.sum(EXPOSURES),
            outcomes: collected.schema.tasks.iter().enumerate().map(outcome).collect(),
            catalog_coverage: catalog.and_then(|catalog| catalog.shown.share(arm, catalog.items)),
        }
    };
    collected.schema.arms.iter().zip(&collected.arms).enumerate().map(one).collect()
}

fn metrics(collected: &Collected) -> Vec<(String, Metric)> {
    let rate = |(task, name): (usize, &String)| {
        (format!("{name}/exposure"), Metric::Ratio(Measure::Task(task), Measure::Exposures))
    };
    let mut metrics: Vec<_> = collected.schema.tasks.iter().enumerate().map(rate).collect();
    metrics.push(("value/unit".to_owned(), Metric::PerUnit(Measure::Value)));
    metrics.push(("exposures/unit".to_owned(), Metric::PerUnit(Measure::Exposures)));
    metrics
}

fn compare(
    collected: &Collected,
    options: &ResultsOptions,
    sequential: &Sequential,
    arm: usize,
    (name, metric): &(String, Metric),
) -> Option<MetricResult> {
    let control = Estimate::new(&collected.arms[options.control], *metric)?;
    let other = Estimate::new(&collected.arms[arm], *metric)?;
    let alpha = options.plan.alpha;
    let plain = Comparison::new(&control, &other, alpha, sequential)?;
    let adjusted = Estimate::cuped(&control, &other);
    let cuped = adjusted
        .and_then(|(control, other, _)| Comparison::new(&control, &other, alpha, sequential));
    Some(MetricResult {
        metric: name.clone(),
        arm: collected.schema.arms[arm].clone(),
        power: power(cuped.as_ref().unwrap_or(&plain), &options.plan, options.days),
        plain,
        cuped,
        variance_reduction: adjusted.map_or(0.0, |(_, _, reduction)| reduction),
    })
}
