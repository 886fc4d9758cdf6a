//! `plugrank experiment NAME`: what a running server says of an experiment.

use std::fmt::Write;

use anyhow::{Context, Result};
use plugrank_experiments::{AnalysisPlan, DefinitionChange, statistics::Results};
use serde::Deserialize;
use serde_json::Value;

use super::{args::ResultsArgs, report::tables, table::aligned};
use crate::server_client::{ServerClient, escaped};

/// The results as `GET /v1/experiments/NAME/results` gives them.
#[derive(Debug, Deserialize)]
struct Online {
    experiment: String,
    to: i64,
    days: f64,
    plan: AnalysisPlan,
    history: Vec<DefinitionChange>,
    #[serde(flatten)]
    results: Results,
    #[serde(default)]
    calibration: Vec<ArmCalibration>,
}

/// What an arm predicted against what users did.
#[derive(Debug, Deserialize)]
struct ArmCalibration {
    arm: String,
    task: String,
    items: u64,
    predicted: f64,
    observed: f64,
    ratio: Option<f64>,
}

/// The results of an experiment on a running server, for people or as JSON.
///
/// # Errors
/// When no server answers, or it has no such experiment.
pub fn online(args: &ResultsArgs) -> Result<String> {
    let name = args.name.as_deref().context("NAME is missing: the experiment's")?;
    let path = format!("/v1/experiments/{}/results", escaped(name));
    let found: Value = ServerClient::new(&args.server)?.get(&path)?;
    if args.json {
        return Ok(format!("{found:#}\n"));
    }
    let online = serde_json::from_value(found).context("the server's results cannot be read")?;
    Ok(text(&online))
}

fn text(online: &Online) -> String {
    let Online { experiment, to, days, plan, history, results, calibration } = online;
    let mut text = format!("{experiment}: {days:.2} days since its shares changed last\n");
    text.push_str(&tables(results, plan));
    text.push_str(&watched(calibration));
    if !history.is_empty() {
        text.push_str("\nhistory\n");
    }
    for DefinitionChange { at, change, cause, .. } in history {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>10} ago  {change} ({cause})", ago(to - at));
    }
    text
}

/// Calibration by arm and task; nothing where none was counted.
fn watched(calibration: &[ArmCalibration]) -> String {
    if calibration.is_empty() {
        return String::new();
    }
    let header = ["calibration", "task", "items seen", "predicted", "observed", "ratio"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(calibration.iter().map(|one| {
        vec![
            one.arm.clone(),
            one.task.clone(),
            one.items.to_string(),
            format!("{:.1}", one.predicted),
            format!("{:.0}", one.observed),
            one.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
        ]
    }));
    format!("\n{}", aligned(&rows))
}

fn ago(ms: i64) -> String {
    let seconds = ms as f64 / 1e3;
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_by_magnitude() {
        let told = [5_000, 600_000, 7_200_000, 864_000_000].map(ago);
        assert_eq!(told, ["5 s", "10 min", "2.0 h", "10.0 days"]);
    }

    #[test]
    fn calibration_is_a_table_where_it_was_counted() {
        assert_eq!(watched(&[]), "");
        let one = serde_json::json!({
            "arm": "ppm", "task": "main", "items": 8, "predicted": 2.0, "observed": 3.0, "ratio": 1.5
        });
        let text = watched(&[serde_json::from_value(one).unwrap()]);
        assert!(text.contains("ppm") && text.contains("1.500"), "{text}");
    }

    #[test]
    fn names_are_encoded_as_one_path_segment() {
        assert_eq!(escaped("ppm-1"), "ppm-1");
        assert_eq!(escaped("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
