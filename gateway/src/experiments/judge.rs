//! What gateways do with experiments by themselves: steps of a ramp, an end to an arm. Of those that share a
//! store one does it at a time.

use std::{sync::Arc, time::Duration};

use plugrank_experiments::{
    Experiment,
    automatic::{Action, actions},
};
use plugrank_store::Store;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ExperimentMetrics, Experiments, Tallies};
use crate::clock::Clock;

/// Document of the store that says who judges, and until when.
const LEASE: &str = "experiments-judge";

/// Why the model of a version failed, where it did.
pub(crate) type WhyFailed = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Looks at experiments in turns, and does what their results ask for.
pub(crate) struct Judge {
    /// This gateway, among those that share the store.
    pub(crate) id: Uuid,
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

#[derive(Serialize, Deserialize)]
struct Lease {
    by: Uuid,
    until: i64,
}

impl Judge {
    /// Ends only by being dropped.
    pub(crate) async fn run(self) {
        loop {
            let every = self.experiments.options().judge_every();
            tokio::time::sleep(every).await;
            match self.leads(every).await {
                Ok(true) => self.look().await,
                Ok(false) => {}
                Err(error) => tracing::warn!(error, "who judges experiments cannot be read"),
            }
        }
    }

    /// Whether this gateway is the one that judges now: it has the lease, or takes one that ran out.
    async fn leads(&self, every: Duration) -> Result<bool, String> {
        if self.experiments.none() {
            return Ok(false);
        }
        let now = self.clock.now_ms();
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let document = self.store.document(LEASE).await.map_err(|error| text(&error))?;
        let held =
            document.as_ref().and_then(|one| serde_json::from_slice::<Lease>(&one.bytes).ok());
        if held.is_some_and(|lease| lease.by != self.id && now < lease.until) {
            return Ok(false);
        }
        // Two turns may be missed before another takes over.
        let until = now + i64::try_from(3 * every.as_millis()).unwrap_or(i64::MAX / 2);
        let lease =
            serde_json::to_vec(&Lease { by: self.id, until }).map_err(|error| text(&error))?;
        let revision = document.map_or(0, |document| document.revision);
        let taken = self.store.put_document(LEASE, lease, revision).await;
        Ok(taken.map_err(|error| text(&error))?.is_some())
    }

    /// One look at every experiment that something may happen to.
    pub(super) async fn look(&self) {
        let running = self.experiments.running();
        for experiment in &running.definitions().experiments {
            let mut wanted = self.failed_models(experiment);
            if wanted.is_empty() && is_automatic(experiment) {
                let at = (&*experiment.name, self.clock.now_ms());
                match self.tallies.results(&running, &self.store, &self.tasks, at).await {
                    Ok(found) => {
                        self.metrics.judged(&experiment.name, &found.results);
                        wanted = actions(experiment, &found.results, at.1);
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
