//! `plugrank tune`.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use plugrank_bundle::Bundle;
use plugrank_inference::Library;

use super::Failure;
use crate::{
    Settings,
    cli::TuneArgs,
    load::Progress,
    tune::{Configuration, TuneResult, Workload, tune, write},
};

/// A configuration that is so much faster than the first is not shown as equal to it.
const ALIKE: f64 = 0.97;

pub(super) fn run(args: &TuneArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    Ok(tune_for(args, &settings)?)
}

fn tune_for(args: &TuneArgs, settings: &Settings) -> Result<()> {
    let library = Library::load(settings.onnxruntime.library.as_deref().map(Path::new))?;
    let path = &settings.bundle.path;
    let bundle = Bundle::open(path)
        .with_context(|| format!("the bundle {} (bundle.path) is refused", path.display()))?;
    let workload = Workload {
        candidates: args.candidates.iter().map(|count| *count as usize).collect(),
        callers: args.callers as usize,
        time: Duration::from_secs(args.seconds.into()),
    };
    let bar = Progress::shown().bar("tuning", 0);
    let session = settings.scoring.session();
    let outcomes = tune(&library, &bundle, session, &workload, &mut |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    println!("{}, {} callers, candidates {:?}", bundle.version(), args.callers, args.candidates);
    println!(
        "{:>7} {:>7} {:>10} {:>8} {:>12} {:>10} {:>10}",
        "workers", "threads", "batch_rows", "in_place", "rows/s", "p50", "p99"
    );
    outcomes.iter().for_each(print);
    let Some(best) = best(&outcomes) else { return Ok(()) };
    println!("\n[scoring]\n{}", section(best));
    if let Some(path) = &args.write {
        write(best, path)?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// Of the configurations about as fast as the fastest, the one with the smallest p99.
fn best(outcomes: &[TuneResult]) -> Option<&Configuration> {
    let fastest = outcomes.first()?.measured.rows_per_second;
    let alike = outcomes.iter().filter(|one| one.measured.rows_per_second >= ALIKE * fastest);
    alike.min_by_key(|one| one.measured.p99).map(|one| &one.configuration)
}

fn print(outcome: &TuneResult) {
    let TuneResult { configuration, measured } = outcome;
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    println!(
        "{:>7} {:>7} {:>10} {:>8} {:>12.0} {:>10} {:>10}",
        configuration.workers,
        configuration.threads,
        configuration.batch_rows,
        if configuration.in_place { "yes" } else { "no" },
        measured.rows_per_second,
        ms(measured.p50),
        ms(measured.p99)
    );
}

fn section(best: &Configuration) -> String {
    let micros = if best.in_place { 2_000 } else { 0 };
    format!(
        "workers = {}\nthreads = {}\nbatch_rows = {}\nrun_in_place_us = {micros}\n\
         candidate_buckets = {:?}",
        best.workers, best.threads, best.batch_rows, best.candidate_buckets
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::Measured;

    fn outcome(workers: usize, rows_per_second: f64, p99_ms: u64) -> TuneResult {
        TuneResult {
            configuration: Configuration {
                workers,
                threads: 1,
                batch_rows: 64,
                in_place: false,
                candidate_buckets: vec![64],
            },
            measured: Measured {
                rows_per_second,
                p50: Duration::from_millis(1),
                p99: Duration::from_millis(p99_ms),
            },
        }
    }

    #[test]
    fn among_similar_rates_the_lowest_p99_wins() {
        let outcomes = [outcome(1, 1000.0, 9), outcome(2, 980.0, 4), outcome(3, 900.0, 1)];
        assert_eq!(best(&outcomes).map(|best| best.workers), Some(2));
        assert_eq!(best(&[]), None);
    }
}
