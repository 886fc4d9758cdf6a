//! Every shape is run before the first request.

use super::{
    front::BatcherStartError, model::BatchModel, run_times::RunTimes, runner::guarded,
    shape::Buckets,
};

/// Runs every shape a batch can have on every model, so that none is met for the first time by a
/// request, and measures them. Beside requests it rests after each. `progress` receives the number of shapes done and of all there are.
///
/// # Errors
/// When a shape does not run.
pub fn warm_up<M: BatchModel>(
    models: &mut [M],
    buckets: &Buckets,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<RunTimes, BatcherStartError> {
    let shapes = buckets.shapes();
    let total = shapes.len() * models.len();
    let mut times = RunTimes::default();
    let mut done = 0;
    for model in models {
        for &shape in &shapes {
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
