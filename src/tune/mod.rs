//! `plugrank tune`: which configuration of scoring suits this machine and bundle.

mod measure;
mod write;

use std::{
    num::NonZeroUsize,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use plugrank_bundle::Bundle;
use plugrank_inference::{Library, Provider, SessionOptions};

pub use measure::Measured;
pub use write::write;

use measure::{Rows, measure};

/// Least time a configuration is measured for; with less, what is measured is chance.
const LEAST: Duration = Duration::from_millis(300);

/// A configuration of scoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Worker threads, each with a model of its own.
    pub workers: usize,
    /// Threads inside one run.
    pub threads: usize,
    /// Candidate rows at which a batch closes.
    pub batch_rows: usize,
    /// Whether short runs are made on the thread of the request.
    pub in_place: bool,
    /// Candidates that shapes are padded to.
    pub candidate_buckets: Vec<usize>,
}

/// What is to be served.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Candidates of the requests, each as often as another.
    pub candidates: Vec<usize>,
    /// Requests at a time.
    pub callers: usize,
    /// Longest the whole may take.
    pub time: Duration,
}

/// A configuration and what it came to.
#[derive(Clone, Debug)]
pub struct TuneResult {
    /// Which.
    pub configuration: Configuration,
    /// What it came to.
    pub measured: Measured,
}

/// Measures configurations, one after another, within the workload's time; best first. `progress` is
/// told about those done and of all there are.
///
/// # Errors
/// When the bundle has no unified graph that runs here, or the time is too short to tell anything.
pub fn tune(
    library: &Library,
    bundle: &Bundle,
    session: SessionOptions,
    workload: &Workload,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<TuneResult>> {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let configurations = configurations(cores, session.provider, workload);
    let total = configurations.len();
    let each = workload.time / u32::try_from(total).unwrap_or(u32::MAX);
    ensure!(
        each >= LEAST,
        "{total} configurations in {:?} are {each:?} each; give at least {:?} (--seconds)",
        workload.time,
        LEAST * u32::try_from(total).unwrap_or(u32::MAX)
    );
    let mut outcomes = Vec::with_capacity(total);
    for (done, configuration) in configurations.into_iter().enumerate() {
        progress(done, total);
        let session = SessionOptions { threads: configuration.threads, ..session };
        let rows = Rows { library, bundle, session };
        let until = Instant::now() + each;
        let measured = measure(&rows, &configuration, workload, until)?;
        outcomes.push(TuneResult { configuration, measured });
    }
    progress(total, total);
    outcomes.sort_by(|a, b| b.measured.rows_per_second.total_cmp(&a.measured.rows_per_second));
    Ok(outcomes)
}

/// Workers and threads that fill the cores, batches from one request to several, with and without
/// runs in place.
fn configurations(cores: usize, provider: Provider, workload: &Workload) -> Vec<Configuration> {
    let mut buckets = workload.candidates.clone();
    buckets.sort_unstable();
    buckets.dedup();
    let largest = buckets.last().copied().unwrap_or(1);
    let splits: Vec<(usize, usize)> = match provider {
        Provider::Cpu => {
            let threads = std::iter::successors(Some(1), |threads| Some(threads * 2));
            let fitting = threads.take_while(|threads| *threads <= cores);
            fitting.map(|threads| ((cores / threads).max(1), threads)).collect()
        }
        Provider::Cuda => vec![(1, 1), (2, 1)],
    };
    let mut configurations = Vec::new();
    for (workers, threads) in splits {
        for batch_rows in [largest, 2 * largest, 4 * largest] {
            for in_place in [true, false] {
                configurations.push(Configuration {
                    workers,
                    threads,
                    batch_rows: batch_rows.max(64),
                    in_place,
                    candidate_buckets: buckets.clone(),
                });
            }
        }
    }
    configurations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_use_all_cores_without_padding_the_workload() {
        let workload =
            Workload { candidates: vec![300, 50, 300], callers: 8, time: Duration::from_secs(1) };
        let all = configurations(4, Provider::Cpu, &workload);
        assert!(all.iter().all(|one| one.workers * one.threads == 4));
        assert!(all.iter().all(|one| one.candidate_buckets == [50, 300]));
        assert!(all.iter().any(|one| one.batch_rows == 1_200 && !one.in_place));
        let distinct: Vec<_> =
            all.iter().enumerate().filter(|(at, one)| !all[..*at].contains(one)).collect();
        assert_eq!(distinct.len(), all.len());
    }
}
