//! `plugrank replay`: what another policy would have been worth, from logged decisions.

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{Array, RecordBatch, cast::AsArray};
use plugrank_experiments::counterfactual::{LoggedDecision, OffPolicy, Replay, ReplayResults};

use super::{
    args::ReplayArgs,
    exposures::{Exposures, numbers, texts},
    table::aligned,
};

/// The estimates of a file of decisions.
///
/// # Errors
/// A file that cannot be read, a decision that says nothing, and a log that says too little of the other policy.
pub fn replay(args: &ReplayArgs) -> Result<ReplayResults> {
    ensure!(args.alpha > 0.0 && args.alpha < 1.0, "--alpha {} is not between 0 and 1", args.alpha);
    let file = Exposures::open(&args.file)?;
    let named = [&args.unit, &args.reward, &args.propensity, &args.target];
    let missing: Vec<&str> =
        named.into_iter().filter(|column| !file.has(column)).map(String::as_str).collect();
    if !missing.is_empty() {
        bail!("{} has no column {}", args.file.display(), missing.join(", "));
    }
    let modelled = [&args.expected, &args.expected_target].map(|column| file.has(column));
    ensure!(
        modelled[0] == modelled[1],
        "of {} and {} one column is there alone; the doubly robust estimate needs both",
        args.expected,
        args.expected_target
    );
    let (mut replay, mut rows) = (Replay::default(), 0);
    for batch in file {
        let batch = batch.with_context(|| format!("{} is refused", args.file.display()))?;
        add(&mut replay, &batch, args, modelled[0], rows)
            .with_context(|| format!("{} is refused", args.file.display()))?;
        rows += batch.num_rows();
    }
    Ok(replay.results(args.alpha)?)
}

fn add(
    replay: &mut Replay,
    batch: &RecordBatch,
    args: &ReplayArgs,
    modelled: bool,
    before: usize,
) -> Result<()> {
    let units = texts(batch, &args.unit)?;
    let units = units.as_string::<i32>();
    let [reward, propensity, target] =
        [&args.reward, &args.propensity, &args.target].map(|column| numbers(batch, column));
    let (reward, propensity, target) = (reward?, propensity?, target?);
    let expectation = |column: &str| match modelled {
        true => numbers(batch, column),
        false => Ok(vec![None; batch.num_rows()]),
    };
    let (expected, expected_target) =
        (expectation(&args.expected)?, expectation(&args.expected_target)?);
    for row in 0..batch.num_rows() {
        let number = before + row + 1;
        let (Some(propensity), Some(target)) = (propensity[row], target[row]) else {
            bail!("row {number} has no {} or no {}", args.propensity, args.target);
        };
        ensure!(units.is_valid(row), "row {number} has no {}", args.unit);
        let decision = LoggedDecision {
            reward: reward[row].unwrap_or(0.0),
            propensity,
            target,
            expected: expected[row].unwrap_or(0.0),
            expected_target: expected_target[row].unwrap_or(0.0),
        };
        replay.add(units.value(row), &decision).with_context(|| format!("row {number}"))?;
    }
    Ok(())
}

/// The estimates as a table.
#[must_use]
pub fn replay_report(found: &ReplayResults) -> String {
    let row = |name: &str, estimate: &OffPolicy| {
        vec![
            name.to_owned(),
            format!("{:.5}", estimate.value),
            format!("{:.5}", estimate.standard_error),
            format!("[{:.5}, {:.5}]", estimate.interval.low, estimate.interval.high),
        ]
    };
    let header = ["value of a decision", "estimate", "error", "interval"].map(str::to_owned);
    format!(
        "{:.0} decisions of {} units, worth {:.0} of the other policy's own; mean weight {:.3}\n{}",
        found.decisions,
        found.units,
        found.effective,
        found.support,
        aligned(&[
            header.to_vec(),
            row("as it was logged", &found.logged),
            row("other: inverse propensity", &found.inverse_propensity),
            row("other: self-normalised", &found.self_normalised),
            row("other: doubly robust", &found.doubly_robust),
        ])
    )
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    /// Two choices; the log took the first with probability `first`, the other policy always takes the second,
    /// which is worth 0.75 and the first 0.25.
    /// What is drawn is spread by a hash (splitmix64), so that a unit's rewards are not all the same.
    fn file(first: f64, decisions: usize) -> (tempfile::TempDir, ReplayArgs) {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "user_id,reward,propensity,target,expected,expected_target\n".to_owned();
        for at in 0..decisions {
            let is_first = drawn(at as u64 * 2) < first;
            let (propensity, target, worth) =
                if is_first { (first, 0, 0.25) } else { (1.0 - first, 1, 0.75) };
            let reward = u8::from(drawn(at as u64 * 2 + 1) < worth);
            writeln!(text, "u{},{reward},{propensity},{target},{worth},0.75", at % 500).unwrap();
        }
        let path = folder.path().join("decisions.csv");
        fs::write(&path, text).unwrap();
        let line = ["plugrank", "replay", path.to_str().unwrap()];
        let Command::Replay(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("it is replay")
        };
        (folder, args)
    }

    /// A number from 0 to 1.
    fn drawn(seed: u64) -> f64 {
        let mut mixed = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }

    #[test]
    fn another_policy_is_estimated_where_the_log_overlaps() {
        let (_folder, args) = file(0.5, 4_000);
        let found = replay(&args).unwrap();
        for estimate in [&found.inverse_propensity, &found.self_normalised, &found.doubly_robust] {
            assert!((estimate.value - 0.75).abs() < 0.05, "{found:?}");
        }
        assert!((found.logged.value - 0.5).abs() < 0.05, "{found:?}");
        assert!(found.doubly_robust.standard_error < found.inverse_propensity.standard_error);
        let text = replay_report(&found);
        assert!(text.starts_with("4000 decisions of 500 units"), "{text}");
    }

    #[test]
    fn too_little_overlap_is_refused() {
        let (_folder, args) = file(0.999, 4_000);
        let refused = format!("{:#}", replay(&args).unwrap_err());
        assert!(refused.contains("too thin"), "{refused}");
    }

    #[test]
    fn problems_of_a_file_are_named() {
        let (folder, mut args) = file(0.5, 10);
        args.propensity = "chance".to_owned();
        assert!(replay(&args).unwrap_err().to_string().contains("no column chance"));
        let path = folder.path().join("wrong.csv");
        fs::write(&path, "user_id,reward,propensity,target\nu1,1,0.5,1\nu2,1,0,1\n").unwrap();
        args = ReplayArgs { file: path, propensity: "propensity".to_owned(), ..args };
        let refused = format!("{:#}", replay(&args).unwrap_err());
        assert!(refused.contains("row 2") && refused.contains("above 0"), "{refused}");
    }
}
