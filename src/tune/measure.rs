//! One configuration under load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::Deadline;
use plugrank_inference::{
    BlockMut, Library, SessionOptions,
    batcher::{
        Batcher, Buckets, Dims, Entry, GraphInput, GraphModel, NoObserver, Policy, RowAxis,
        Variable, history_buckets, warm_up,
    },
};
use tokio::{runtime::Builder, task::JoinSet};

use super::{Configuration, Workload};

/// Longest predicted run that is made in place, where runs in place are tried.
pub(super) const IN_PLACE: Duration = Duration::from_millis(2);
/// Users a batch is padded to.
const USERS: [usize; 4] = [1, 2, 4, 8];

/// What is run.
pub(super) struct Rows<'a> {
    pub(super) library: &'a Library,
    pub(super) bundle: &'a Bundle,
    pub(super) session: SessionOptions,
}

/// What a configuration came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Candidate rows a second.
    pub rows_per_second: f64,
    /// Median time of a request.
    pub p50: Duration,
    /// 99th percentile of it.
    pub p99: Duration,
}

/// Rows that say nothing: what they cost does not depend on it.
struct Blank;

impl GraphInput for Blank {
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
        blocks.iter_mut().for_each(BlockMut::clear);
        Ok(())
    }

    fn writes_all(&self) -> bool {
        true
    }
}

/// Runs requests of the workload until `until`, the time for loading and warming not counted.
///
/// # Errors
/// When the graph cannot be loaded or run.
pub(super) fn measure(
    rows: &Rows<'_>,
    configuration: &Configuration,
    workload: &Workload,
    until: Instant,
) -> Result<Measured> {
    let time = until.saturating_duration_since(Instant::now());
    let load = |_| GraphModel::load(rows.library, rows.bundle, GraphName::Unified, rows.session);
    let mut models: Vec<GraphModel> =
        (0..configuration.workers).map(load).collect::<Result<_, _>>()?;
    let lengths = rows.bundle.manifest().history;
    let reads_history = models.iter().any(|model| model.varies_with(Variable::History));
    let longest = if reads_history { lengths.clicks + lengths.impressions } else { 1 };
    let buckets = Buckets::new(
        USERS.to_vec(),
        configuration.candidate_buckets.clone(),
        history_buckets(longest),
        RowAxis::Candidates,
        configuration.batch_rows,
    )?;
    let history = buckets.max_history();
    let times = warm_up(&mut models, &buckets, &mut |_, _| {})?;
    let run_in_place = if configuration.in_place { IN_PLACE } else { Duration::ZERO };
    let policy = Policy { run_in_place, ..Policy::new(buckets) };
    let batcher = Batcher::start("tune", models, policy, times, Arc::new(NoObserver))?;
    let batcher = Arc::new(batcher);
    let runtime = Builder::new_multi_thread().enable_time().build()?;
    let (sizes, callers) = (workload.candidates.clone(), workload.callers);
    let sizes: Arc<[usize]> = sizes.into();
    runtime.block_on(async {
        let end = Instant::now() + time;
        let mut running = JoinSet::new();
        for caller in 0..callers {
            let (batcher, sizes) = (Arc::clone(&batcher), Arc::clone(&sizes));
            running.spawn(async move { call(&batcher, &sizes, caller, history, end).await });
        }
        let (mut requests, mut rows) = (Vec::new(), 0);
        while let Some(done) = running.join_next().await {
            let (took, scored) = done.context("a caller ended early")??;
            requests.extend(took);
            rows += scored;
        }
        Ok(summary(requests, rows, time))
    })
}

/// One caller's requests, one after another: what each took, and the rows of all.
async fn call(
    batcher: &Batcher<GraphModel>,
    sizes: &[usize],
    first: usize,
    history: usize,
    end: Instant,
) -> Result<(Vec<Duration>, usize)> {
    let (mut took, mut rows) = (Vec::new(), 0);
    for candidates in sizes.iter().copied().cycle().skip(first % sizes.len().max(1)) {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        let dims = Dims { candidates, history };
        let input: Box<dyn GraphInput> = Box::new(Blank);
        batcher.run(Entry { dims, input }, Deadline::NONE).await?;
        took.push(begun.elapsed());
        rows += candidates;
    }
    Ok((took, rows))
}

fn summary(mut requests: Vec<Duration>, rows: usize, time: Duration) -> Measured {
    requests.sort_unstable();
    let at = |share: f64| {
        let last = requests.len().saturating_sub(1);
        requests.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    };
    Measured {
        rows_per_second: rows as f64 / time.as_secs_f64().max(1e-9),
        p50: at(0.5),
        p99: at(0.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_requests() {
        let requests = (1..=101).map(Duration::from_millis).collect();
        let measured = summary(requests, 500, Duration::from_secs(2));
        assert_eq!(measured.rows_per_second, 250.0);
        assert_eq!(measured.p50, Duration::from_millis(51));
        assert_eq!(measured.p99, Duration::from_millis(100));
        assert_eq!(summary(Vec::new(), 0, Duration::from_secs(1)).p99, Duration::ZERO);
    }
}
