//! Experiments on entry: which arms a request gets, and what they change for it.
//!
//! Definitions are one document of the store, so that every gateway that shares it has the same; each
//! asks for a newer one in turns ([`follow`]). Assignment needs no state ([`plugrank_experiments`]).

mod arms;
mod change;
mod defined;
mod follow;
mod judge;
mod metrics;
mod options;
mod results;
mod tally;
mod write;

#[cfg(test)]
mod judge_tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use plugrank_experiments::{Assigner, Definitions};

pub(crate) use arms::{Arms, GivenArm, Who};
pub(crate) use change::{ArmChange, check_surfaces};
pub(crate) use follow::follow;
pub(crate) use judge::{Judge, LEASE};
pub(crate) use metrics::ExperimentMetrics;
pub use options::ExperimentsOptions;
pub(crate) use results::{Asked, ResultsError, Tallies};
pub(crate) use tally::TallyError;
pub(crate) use write::{WriteError, put_experiment};

/// Name of the document in the store.
const DOCUMENT: &str = "experiments";

/// The experiments of a gateway.
pub(crate) struct Experiments {
    running: ArcSwap<Running>,
    options: ArcSwap<ExperimentsOptions>,
    /// The options whose experiments are written.
    defined: Mutex<Option<Arc<ExperimentsOptions>>>,
}

/// Definitions in force.
pub(crate) struct Running {
    /// Revision of the document; 0 when there is none.
    pub(crate) revision: u64,
    assigner: Assigner,
    /// Whether an experiment asks for features of the user.
    asks_for_features: bool,
}

impl Experiments {
    pub(crate) fn new(options: ExperimentsOptions) -> Self {
        let running = Running::new(Definitions::default(), 0);
        Self {
            running: ArcSwap::from_pointee(running),
            options: ArcSwap::from_pointee(options),
            defined: Mutex::default(),
        }
    }

    /// How experiments are followed and forced.
    pub(crate) fn options(&self) -> Arc<ExperimentsOptions> {
        self.options.load_full()
    }

    /// Goes on by other options.
    pub(crate) fn set_options(&self, options: ExperimentsOptions) {
        self.options.store(Arc::new(options));
    }

    /// The definitions in force now.
    pub(crate) fn running(&self) -> Arc<Running> {
        self.running.load_full()
    }
}

impl Running {
    fn new(definitions: Definitions, revision: u64) -> Self {
        let targets = definitions.experiments.iter().map(|experiment| &experiment.target);
        let asks = targets.map(|target| !target.must.is_empty() || !target.must_not.is_empty());
        let asks_for_features = asks.into_iter().any(|asks| asks);
        Self { revision, assigner: Assigner::new(definitions), asks_for_features }
    }

    /// The definitions.
    pub(crate) fn definitions(&self) -> &Definitions {
        self.assigner.definitions()
    }
}
