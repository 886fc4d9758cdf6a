//! What the ladder counts.

use plugrank_budget::Step;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StepLabels {
    stage: &'static str,
    direction: &'static str,
    to: &'static str,
}

/// What the ladder does.
#[derive(Debug, Default)]
pub(crate) struct LadderMetrics {
    /// Steps, by stage and direction.
    pub(crate) steps: Family<StepLabels, Counter>,
}

impl LadderMetrics {
    pub(crate) fn step(&self, step: &Step) {
        let direction = if step.is_down() { "down" } else { "up" };
        let labels = StepLabels { stage: step.stage.as_str(), direction, to: step.to.as_str() };
        self.steps.get_or_create(&labels).inc();
    }
}
