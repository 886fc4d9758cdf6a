//! The results as tables.

use std::fmt::Write;

use plugrank_experiments::{
    AnalysisPlan,
    statistics::{Comparison, GuardrailVerdict, Interval, MetricResult, Results},
};

use super::{Analysis, table::aligned};

/// The results as they are printed.
#[must_use]
pub fn report(analysis: &Analysis) -> String {
    let mut text = format!("{} rows", analysis.rows);
    if analysis.left_out > 0 {
        let _ = write!(text, ", {} left out", analysis.left_out);
    }
    text.push('\n');
    text.push_str(&tables(&analysis.results, &analysis.plan));
    text
}

/// The results as tables: the sample ratio first.
pub(super) fn tables(results: &Results, plan: &AnalysisPlan) -> String {
    let mut text = arms(results);
    let ratio = &results.sample_ratio;
    let _ = writeln!(
        text,
        "sample ratio: p {} at one look, {} at every look",
        chance(ratio.p),
        chance(ratio.always_valid_p)
    );
    if results.crossed > 0 {
        let _ = writeln!(text, "users of several arms, counted in none: {}", results.crossed);
    }
    if let Some(why) = &results.hidden {
        let _ = writeln!(text, "NO LIFT IS SHOWN: {why}");
    } else {
        text.push('\n');
        text.push_str(&metrics(results));
        text.push('\n');
        text.push_str(&power(results, plan));
    }
    if !results.guardrails.is_empty() {
        text.push('\n');
        text.push_str(&guardrails(results));
    }
    text
}

fn arms(results: &Results) -> String {
    let mut header = ["arm", "users", "due", "exposures"].map(str::to_owned).to_vec();
    let tasks = results.arms.first().map_or(&[][..], |arm| &arm.outcomes);
    header.extend(tasks.iter().map(|outcome| outcome.task.clone()));
    let catalog = results.arms.iter().any(|arm| arm.catalog_coverage.is_some());
    header.extend(catalog.then(|| "of the catalog".to_owned()));
    let mut rows = vec![header];
    for (arm, due) in results.arms.iter().zip(&results.sample_ratio.expected) {
        let mut row = vec![
            arm.name.clone(),
            arm.units.to_string(),
            format!("{due:.0}"),
            amount(arm.exposures),
        ];
        row.extend(arm.outcomes.iter().map(|outcome| amount(outcome.sum)));
        row.extend(arm.catalog_coverage.map(percent));
        rows.push(row);
    }
    aligned(&rows)
}

fn metrics(results: &Results) -> String {
    let header = ["metric", "arm", "control", "this", "lift", "one look", "p", "every look", "p"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for result in &results.metrics {
        rows.push(metric(&result.metric, &result.arm, &result.plain));
        if let Some(cuped) = &result.cuped {
            let name = format!("  CUPED, variance -{:.0}%", 100.0 * result.variance_reduction);
            rows.push(metric(&name, &result.arm, cuped));
        }
    }
    aligned(&rows)
}

fn metric(name: &str, arm: &str, compared: &Comparison) -> Vec<String> {
    vec![
        name.to_owned(),
        arm.to_owned(),
        figure(compared.control),
        figure(compared.arm),
        compared.lift.map_or_else(|| "-".to_owned(), percent),
        interval(compared.lift_interval),
        chance(compared.p),
        interval(compared.always_valid_lift_interval),
        chance(compared.always_valid_p),
    ]
}

fn power(results: &Results, plan: &AnalysisPlan) -> String {
    let lift = percent(plan.lift);
    let header = [
        format!("power for {lift}"),
        "arm".to_owned(),
        "now".to_owned(),
        "smallest lift".to_owned(),
        "users, one look".to_owned(),
        "days left".to_owned(),
        "users, every look".to_owned(),
        "days left".to_owned(),
    ];
    let days = |days: Option<f64>| days.map_or_else(|| "-".to_owned(), |days| format!("{days:.1}"));
    let mut rows = vec![header.to_vec()];
    let known = |result: &MetricResult| result.power.map(|power| (result.metric.clone(), power));
    for (result, (metric, power)) in
        results.metrics.iter().filter_map(|one| known(one).map(|known| (one, known)))
    {
        rows.push(vec![
            metric,
            result.arm.clone(),
            format!("{:.0}%", 100.0 * power.now),
            percent(power.detectable_lift),
            power.units.to_string(),
            days(power.days),
            power.always_valid_units.to_string(),
            days(power.always_valid_days),
        ]);
    }
    aligned(&rows)
}

fn guardrails(results: &Results) -> String {
    let header = ["guardrail", "arm", "worse by", "at least", "margin", "verdict"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for result in &results.guardrails {
        let verdict = match result.verdict {
            GuardrailVerdict::Ok => "ok",
            GuardrailVerdict::Watch => "watch",
            GuardrailVerdict::Stop => "STOP the arm",
            GuardrailVerdict::Unknown => "too few users",
        };
        let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
        rows.push(vec![
            result.metric.as_str().to_owned(),
            result.arm.clone(),
            share(result.worse),
            share(result.at_least),
            percent(result.margin),
            verdict.to_owned(),
        ]);
    }
    aligned(&rows)
}

fn percent(share: f64) -> String {
    format!("{:+.2}%", 100.0 * share)
}

fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |interval| format!("[{}, {}]", percent(interval.low), percent(interval.high)),
    )
}

fn figure(value: f64) -> String {
    format!("{value:.4}")
}

/// Whole numbers as such; others with up to two decimals.
fn amount(sum: f64) -> String {
    let text = format!("{sum:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn chance(p: f64) -> String {
    if p > 0.0 && p < 1e-3 { format!("{p:.1e}") } else { format!("{p:.3}") }
}
