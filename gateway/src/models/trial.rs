//! The first requests of a newly activated model.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::ServingModel;

/// Requests a model on trial may fail to answer before it is withdrawn.
pub(super) const ALLOWED: u32 = 3;
/// How long a trial lasts.
const TIME: Duration = Duration::from_secs(600);

/// Whether the active model is on trial, and which one was before it.
#[derive(Default)]
pub(crate) struct Trial {
    /// Asked by every request, so that none but those of a trial takes the lock.
    running: AtomicBool,
    state: Mutex<Option<Running>>,
}

struct Running {
    version: String,
    before: Arc<ServingModel>,
    failures: u32,
    until: Instant,
}

impl Trial {
    pub(super) fn begin(&self, model: &ServingModel, before: Arc<ServingModel>) {
        let version = model.version.clone();
        let until = Instant::now() + TIME;
        *self.state.lock() = Some(Running { version, before, failures: 0, until });
        self.running.store(true, Ordering::Release);
    }

    /// The model before, while `model` is on trial.
    pub(super) fn before(&self, model: &ServingModel) -> Option<Arc<ServingModel>> {
        if !self.running.load(Ordering::Acquire) {
            return None;
        }
        let mut state = self.state.lock();
        let running = state.as_ref().filter(|running| running.version == model.version)?;
        if Instant::now() < running.until {
            return Some(Arc::clone(&running.before));
        }
        self.end(&mut state);
        None
    }

    /// Counts a failure; the model before, when there have been as many as are allowed.
    pub(super) fn broken(&self, model: &ServingModel) -> Option<Arc<ServingModel>> {
        let mut state = self.state.lock();
        let running = state.as_mut().filter(|running| running.version == model.version)?;
        running.failures += 1;
        if running.failures < ALLOWED {
            return None;
        }
        let before = Arc::clone(&running.before);
        self.end(&mut state);
        Some(before)
    }

    /// Ends a trial that needs a model which is removed.
    pub(super) fn end_without(&self, version: &str) {
        let mut state = self.state.lock();
        if state.as_ref().is_some_and(|running| running.before.version == version) {
            self.end(&mut state);
        }
    }

    fn end(&self, state: &mut Option<Running>) {
        *state = None;
        self.running.store(false, Ordering::Release);
    }
}
