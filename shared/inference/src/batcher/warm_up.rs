//! Every shape is run before the first request.

use super::{
    front::BatcherStartError,
    model::BatchModel,
    run_times::RunTimes,
    runner::guarded,
    shape::{Buckets, Shape},
};

/// Runs every shape a batch can have on the first model, and those of the longest history on the others, so that no request is the
/// first to need their memory, and measures them. Beside requests it rests after each. `progress` receives the number of shapes done and of all there are.
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
            // The first run pays for memory and kernels; the second is what a request will see.
            guarded(|| model.warm(shape)).map_err(failed)?;
            let begun = std::time::Instant::now();
            guarded(|| model.warm(shape)).map_err(failed)?;
            times.record(shape, begun.elapsed());
            plugrank_background::pause_after(2 * begun.elapsed());
            done += 1;
            progress(done, total);
        }
    }
    Ok(times)
}
