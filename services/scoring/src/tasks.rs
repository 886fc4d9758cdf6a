//! What a scoring graph predicts: one output a task.

use std::sync::Arc;

use plugrank_bundle::{Bundle, Calibration, GraphName, TensorDtype};
use plugrank_inference::batcher::{Layout, Variable};

use crate::error::ScoringError;

/// One task's output.
#[derive(Debug)]
pub(crate) struct TaskHead {
    pub(crate) task: Arc<str>,
    /// The output's name in the graph.
    pub(crate) output: String,
    /// Its place among the graph's outputs.
    pub(crate) place: usize,
    pub(crate) calibration: Calibration,
}

/// The tasks in the manifest's order. A graph answers one logit a candidate for each; where there is one
/// task, its output may have any name.
pub(crate) fn task_heads(
    bundle: &Bundle,
    graph: GraphName,
    outputs: &[Layout],
) -> Result<Vec<TaskHead>, ScoringError> {
    let tasks = &bundle.manifest().tasks;
    let logit = |layout: &Layout| {
        layout.dtype == TensorDtype::F32
            && layout.variable == Some(Variable::Candidates)
            && layout.fixed.is_empty()
    };
    let wrong = || ScoringError::Logit { graph, found: format!("{outputs:?}") };
    if outputs.len() != tasks.len() || !outputs.iter().all(logit) {
        return Err(wrong());
    }
    let head = |task: &String| {
        let named = outputs.iter().position(|layout| layout.name == *task);
        let place = if tasks.len() == 1 { Some(0) } else { named }.ok_or_else(wrong)?;
        Ok(TaskHead {
            task: task.as_str().into(),
            output: outputs[place].name.clone(),
            place,
            calibration: bundle.calibration(graph, task),
        })
    };
    tasks.iter().map(head).collect()
}
