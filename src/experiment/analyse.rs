//! `plugrank experiment analyse`.

use anyhow::{Context, Result, bail};
use plugrank_experiments::{
    AnalysisPlan,
    statistics::{Collector, Results, ResultsOptions, Schema, results},
};
use serde::Serialize;

use super::{args::AnalyseArgs, check, rows::Rows};

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;

/// The results of a file.
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// Rows that were counted.
    pub rows: u64,
    /// Rows that were left out: forced, of another experiment, out of the time asked for.
    pub left_out: u64,
    /// Days between the first row and the last.
    pub days: Option<f64>,
    /// What was planned.
    pub plan: AnalysisPlan,
    /// The results.
    #[serde(flatten)]
    pub results: Results,
}

/// Works out the results of an exposure file.
///
/// # Errors
/// A file or a definition that cannot be read, arms that the experiment does not have.
pub fn analyse(args: &AnalyseArgs) -> Result<Analysis> {
    let (mut arms, mut options) = design(args)?;
    let rows = Rows::new(args)?;
    if options.shares.is_empty() {
        rows.each(|row| {
            if !arms.iter().any(|arm| arm == row.arm) {
                arms.push(row.arm.to_owned());
            }
            Ok(())
        })?;
        // In the order of their names, the control first.
        arms[1..].sort_unstable();
        options.shares = vec![1.0; arms.len()];
    }
    let mut collector = Collector::new(Schema { arms: arms.clone(), tasks: args.tasks.clone() });
    let mut time: Option<(i64, i64)> = None;
    let (counted, left_out) = rows.each(|row| {
        let Some(arm) = arms.iter().position(|arm| arm == row.arm) else {
            bail!("the arm `{}` is not one of {}", row.arm, arms.join(", "));
        };
        if let Some(moment) = row.timestamp {
            let (first, last) = time.unwrap_or((moment, moment));
            time = Some((first.min(moment), last.max(moment)));
        }
        collector.add(arm, row.unit, &row.counts);
        Ok(())
    })?;
    options.days = time.map(|(first, last)| (last - first) as f64 / DAY_MS);
    let (days, plan) = (options.days, options.plan.clone());
    let results = results(&collector.collected(), &options)
        .with_context(|| format!("{} has rows of one arm alone", args.file.display()))?;
    Ok(Analysis { rows: counted, left_out, days, plan, results })
}

/// The arms that are known beforehand, and how they are to be judged.
fn design(args: &AnalyseArgs) -> Result<(Vec<String>, ResultsOptions)> {
    let options = ResultsOptions {
        control: 0,
        shares: Vec::new(),
        plan: AnalysisPlan::default(),
        guardrails: Vec::new(),
        one_look: args.one_look,
        days: None,
    };
    if let (Some(file), Some(name)) = (&args.definition, &args.experiment) {
        let definitions = check::read(file)?;
        let experiment = definitions
            .experiment(name)
            .with_context(|| format!("{} has no experiment `{name}`", file.display()))?;
        let names = experiment.arms.iter().map(|arm| arm.name.clone()).collect();
        return Ok((
            names,
            ResultsOptions {
                control: experiment.control_index().unwrap_or(0),
                shares: experiment.shares(),
                plan: experiment.plan.clone(),
                guardrails: experiment.guardrails.clone(),
                ..options
            },
        ));
    }
    let control = args.control.clone().context("--control is missing")?;
    let mut plan = options.plan.clone();
    plan.lift = args.lift.unwrap_or(plan.lift);
    plan.units = args.planned_units.unwrap_or(plan.units);
    if !(plan.lift > 0.0 && plan.lift.is_finite()) {
        bail!("--lift {} is not above 0", plan.lift);
    }
    let (mut names, mut shares) = (vec![control], Vec::new());
    if let Some((_, share)) = args.split.iter().find(|(arm, _)| *arm == names[0]) {
        shares.push(*share);
    } else if !args.split.is_empty() {
        bail!("--split has no share of the control `{}`", names[0]);
    }
    for (arm, share) in args.split.iter().filter(|(arm, _)| Some(arm) != args.control.as_ref()) {
        names.push(arm.clone());
        shares.push(*share);
    }
    Ok((names, ResultsOptions { shares, plan, ..options }))
}
