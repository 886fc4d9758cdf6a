//! What happens to experiments, as metrics.

use plugrank_experiments::{automatic::Action, statistics::Results};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    experiment: String,
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ArmLabels {
    experiment: String,
    arm: String,
}

/// What happens to experiments.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExperimentMetrics {
    actions: Family<ActionLabels, Counter>,
    hidden: Gauge,
    units: Family<ArmLabels, Gauge>,
}

impl ExperimentMetrics {
    pub(crate) fn register(to: &mut Registry) -> Self {
        let ours = Self::default();
        to.register(
            "experiment_actions",
            "Steps of a ramp and ends of arms that were not asked for by a request",
            ours.actions.clone(),
        );
        to.register(
            "experiments_hidden",
            "Experiments whose lift is hidden: the sample ratio is broken, or units were in several arms",
            ours.hidden.clone(),
        );
        to.register(
            "experiment_units",
            "Units of an arm since the shares changed last",
            ours.units.clone(),
        );
        ours
    }

    pub(super) fn acted(&self, experiment: &str, action: &Action) {
        let action = match action {
            Action::Stop { .. } => "stop",
            Action::Step { .. } => "step",
        };
        self.actions
            .get_or_create(&ActionLabels { experiment: experiment.to_owned(), action })
            .inc();
    }

    /// How many of those that were looked at are hidden.
    pub(super) fn hidden(&self, experiments: i64) {
        self.hidden.set(experiments);
    }

    pub(super) fn judged(&self, experiment: &str, results: &Results) {
        for arm in &results.arms {
            let labels = ArmLabels { experiment: experiment.to_owned(), arm: arm.name.clone() };
            let units = i64::try_from(arm.units).unwrap_or(i64::MAX);
            self.units.get_or_create(&labels).set(units);
        }
    }
}
