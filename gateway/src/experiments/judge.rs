//! What gateways do with experiments by themselves: steps of a ramp, an end to an arm. Of those that share a
//! store one does it at a time.

use std::sync::Arc;

use plugrank_experiments::{
    Experiment,
    automatic::{Action, actions},
};
use plugrank_store::Store;

use super::{Asked, ExperimentMetrics, Experiments, Tallies};
use crate::{clock::Clock, lease::Lease};

/// Document of the store that says who judges.
pub(crate) const LEASE: &str = "experiments-judge";

/// Why the model of a version failed, where it did.
pub(crate) type WhyFailed = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Looks at experiments in turns, and does what their results ask for.
pub(crate) struct Judge {
    /// Of the gateways that share the store, the one that has this does it.
    pub(crate) lease: Lease,
    pub(crate) experiments: Arc<Experiments>,
    pub(crate) tallies: Arc<Tallies>,
    /// Which models failed.
    pub(crate) withdrawn: WhyFailed,
    pub(crate) store: Arc<dyn Store>,
    /// Outcomes that are counted.
    pub(crate) tasks: Vec<String>,
    pub(crate) clock: Clock,
    pub(crate) metrics: ExperimentMetrics,
}

impl Judge {
    /// Ends only by being dropped.
    pub(crate) async fn run(self) {
        loop {
            let every = self.experiments.options().judge_every();
            tokio::time::sleep(every).await;
            if self.experiments.none() {
                continue;
            }
            match self.lease.is_held(every).await {
                Ok(true) => self.look().await,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "who judges experiments cannot be read"),
            }
        }
    }

    /// One look at every experiment that something may happen to.
    pub(super) async fn look(&self) {
        let running = self.experiments.running();
        let mut hidden = 0;
        for experiment in &running.definitions().experiments {
            let mut wanted = self.failed_models(experiment);
            if wanted.is_empty() && is_automatic(experiment) {
                let now = self.clock.now_ms();
                let asked = Asked { name: &experiment.name, now, over_time: false };
                match self.tallies.results(&running, &self.store, &self.tasks, asked).await {
                    Ok(found) => {
                        self.metrics.judged(&experiment.name, &found.results);
                        hidden += i64::from(found.results.hidden.is_some());
                        wanted = actions(experiment, &found.results, now);
                    }
                    Err(error) => {
                        let experiment = &*experiment.name;
                        tracing::debug!(experiment, %error, "an experiment cannot be judged now");
                    }
                }
            }
            for action in wanted {
                self.act(&experiment.name, &action).await;
            }
        }
        self.metrics.hidden(hidden);
    }

    /// Arms whose model could not answer.
    fn failed_models(&self, experiment: &Experiment) -> Vec<Action> {
        let arms =
            experiment.arms.iter().filter(|arm| !arm.stopped && arm.name != experiment.control);
        let failed = arms.filter_map(|arm| {
            let version = arm.settings.bundle.as_deref()?;
            let reason = (self.withdrawn)(version)?;
            let cause = format!("model {version}: {reason}");
            Some(Action::Stop { arm: arm.name.clone(), cause })
        });
        failed.collect()
    }

    async fn act(&self, name: &str, action: &Action) {
        let (now, cause) = (self.clock.now_ms(), action.cause());
        let written = self.experiments.write(&self.store, (now, cause), |definitions| {
            let found = definitions.experiments.iter_mut().find(|one| one.name == name);
            // One that is gone needs nothing.
            found.into_iter().for_each(|experiment| action.apply(experiment));
            Ok(())
        });
        match written.await {
            Ok(()) => {
                self.metrics.acted(name, action);
                match action {
                    Action::Stop { arm, .. } => {
                        tracing::warn!(experiment = name, arm, cause, "an arm was stopped");
                    }
                    Action::Step { to, .. } => {
                        tracing::info!(
                            experiment = name,
                            to,
                            cause,
                            "an experiment was let in further"
                        );
                    }
                }
            }
            Err(error) => tracing::warn!(experiment = name, ?error, "an experiment is not changed"),
        }
    }
}

/// Whether results of an experiment may ask for something.
fn is_automatic(experiment: &Experiment) -> bool {
    let ramps = experiment.ramp.as_ref().is_some_and(|ramp| ramp.every_ms.is_some());
    ramps || !experiment.guardrails.is_empty()
}
