//! Every shape is run before the first request.

use std::time::Duration;

use plugrank_background::{WorkClock, beside, pause_after};

use super::{
    front::BatcherStartError,
    model::BatchModel,
    run_times::RunTimes,
    runner::guarded,
    shape::{Buckets, Shape},
};

/// Runs every shape a batch can have on the first model, and those of the longest history on the others, so that no
/// request is the first to need their memory, and measures them, at low priority beside requests. `progress` receives the
/// number of shapes done and of all there are.
///
/// # Errors
/// When a shape does not run.
pub fn warm_up<M: BatchModel>(
    models: &mut [M],
    buckets: &Buckets,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<RunTimes, BatcherStartError> {
    let shapes = buckets.shapes();
    let longest = |shape: &&Shape| shape.history == buckets.max_history();
    // What a run takes is known from the first model; of the others the largest runs of each size make the memory.
    let of_others = shapes.iter().filter(longest).count();
    let total = shapes.len() + of_others * models.len().saturating_sub(1);
    let mut times = RunTimes::default();
    let mut done = 0;
    for (number, model) in models.iter_mut().enumerate() {
        for &shape in shapes.iter().filter(|shape| number == 0 || longest(shape)) {
            let failed = |message| BatcherStartError::Warm { shape, message };
            times.record(shape, second_run(model, shape).map_err(failed)?);
            done += 1;
            progress(done, total);
        }
    }
    Ok(times)
}

/// How long a run takes after the first, which pays for memory and kernels.
fn second_run<M: BatchModel>(model: &mut M, shape: Shape) -> Result<Duration, String> {
    if model.computes_here() {
        return beside(|| {
            guarded(|| model.warm(shape))?;
            let clock = WorkClock::start();
            guarded(|| model.warm(shape))?;
            Ok(clock.elapsed())
        });
    }
    guarded(|| model.warm(shape))?;
    let begun = std::time::Instant::now();
    guarded(|| model.warm(shape))?;
    let took = begun.elapsed();
    pause_after(2 * took);
    Ok(took)
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use plugrank_contract::Deadline;

    use super::*;
    use crate::batcher::{Entry, RowAxis, RunError};

    /// Notes which threads warm it.
    struct Noted {
        computes_here: bool,
        threads: Vec<ThreadId>,
    }

    impl BatchModel for Noted {
        type Input = ();
        type Output = ();

        fn run(
            &mut self,
            _: Shape,
            _: &[Entry<()>],
            _: Deadline,
            _: &mut Vec<Result<(), String>>,
        ) -> Result<(), RunError> {
            Ok(())
        }

        fn warm(&mut self, _: Shape) -> Result<(), String> {
            self.threads.push(thread::current().id());
            Ok(())
        }

        fn computes_here(&self) -> bool {
            self.computes_here
        }
    }

    #[test]
    fn warm_up_of_in_place_models_runs_on_another_thread() {
        plugrank_background::begin_serving();
        let buckets = Buckets::new(vec![1], vec![8, 32], vec![1], RowAxis::Candidates, 32).unwrap();
        let shapes = buckets.shapes();
        let ours = thread::current().id();
        for computes_here in [true, false] {
            let mut models = [Noted { computes_here, threads: Vec::new() }];
            let times = warm_up(&mut models, &buckets, &mut |_, _| {}).unwrap();
            let [Noted { threads, .. }] = models;
            assert_eq!(threads.len(), 2 * shapes.len());
            assert!(threads.iter().all(|thread| (*thread == ours) != computes_here));
            assert!(shapes.iter().all(|shape| times.predict(*shape).is_some()), "each is measured");
        }
    }
}
