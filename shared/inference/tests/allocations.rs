//! Allocations of a run.
//!
//! Alone in its process: the counts are the whole process's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{alloc::System, path::Path, sync::Arc, time::Duration};

use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::Deadline;
use plugrank_inference::{
    BlockMut, Library, SessionOptions,
    batcher::{
        Batcher, Buckets, Dims, Entry, GraphInput, GraphModel, NoObserver, Policy, RowAxis, warm_up,
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rows of ones.
struct Ones;

impl GraphInput for Ones {
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
        for block in blocks {
            match block {
                BlockMut::F16(block) => block.fill(half::f16::ONE),
                BlockMut::F32(block) => block.fill(1.0),
                BlockMut::I64(block) => block.fill(1),
            }
        }
        Ok(())
    }

    fn writes_all(&self) -> bool {
        true
    }
}

/// The shipped bundle, whose `unified` has 15 inputs.
fn batcher(run_in_place: Duration) -> Batcher<GraphModel> {
    let library = Library::load(None).unwrap_or_else(|error| panic!("{error}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/simshop/bundle");
    let bundle = Bundle::open(&folder).unwrap();
    let session = SessionOptions::default();
    let model = GraphModel::load(&library, &bundle, GraphName::Unified, session).unwrap();
    let mut models = vec![model];
    let buckets =
        Buckets::new(vec![1, 2], vec![64, 512], vec![50], RowAxis::Candidates, 1024).unwrap();
    let times = warm_up(&mut models, &buckets, &mut |_, _| {}).unwrap();
    // A batch never waits for more rows, so that every request goes the same way.
    let policy = Policy { run_in_place, max_wait: Duration::ZERO, ..Policy::new(buckets) };
    Batcher::start("test", models, policy, times, Arc::new(NoObserver)).unwrap()
}

/// Allocations and reallocations of each of a hundred requests, on average.
fn allocations(batcher: &Batcher<GraphModel>, candidates: usize) -> f64 {
    const REQUESTS: usize = 100;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = || {
        let dims = Dims { candidates, history: 20 };
        let input: Box<dyn GraphInput> = Box::new(Ones);
        let ran = runtime.block_on(batcher.run(Entry { dims, input }, Deadline::NONE)).unwrap();
        assert_eq!(ran.output[0].len(), candidates);
    };
    (0..10).for_each(|_| request());
    let region = Region::new(ALLOCATOR);
    (0..REQUESTS).for_each(|_| request());
    let stats = region.change();
    (stats.allocations + stats.reallocations) as f64 / REQUESTS as f64
}

#[test]
fn a_request_allocates_little_and_no_more_for_more_candidates() {
    for (run_in_place, way) in [(Duration::ZERO, "worker"), (Duration::from_secs(1), "in place")] {
        let batcher = batcher(run_in_place);
        let [few, many] = [50, 500].map(|candidates| allocations(&batcher, candidates));
        println!("{way}: {few} allocations for 50 candidates, {many} for 500");
        assert!(few < 12.0, "{way}: {few}");
        assert!(many <= few + 0.5, "{way}: {many} for 500, {few} for 50");
    }
}
