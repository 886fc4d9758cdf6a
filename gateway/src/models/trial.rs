//! Counting what a model cannot answer: in the first requests after its activation, and whenever it only
//! answers for an experiment's arm.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::ServingModel;

/// Requests a watched model may fail to answer before it is withdrawn.
pub(super) const ALLOWED: u32 = 3;
/// How long a trial lasts.
const TIME: Duration = Duration::from_secs(600);

/// Whether the active model is on trial and which one was before it, and what others failed to answer.
#[derive(Default)]
pub(crate) struct Trial {
    /// Asked by every request, so that none but those of a trial takes the lock.
    running: AtomicBool,
    state: Mutex<Option<Running>>,
    /// Of models that are not active, by version.
    beside: Mutex<BTreeMap<String, Failures>>,
}

/// Failures of a model beside the active one, since a moment.
struct Failures {
    count: u32,
    until: Instant,
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

    /// Counts a failure of a model that is not active; whether there have been as many as are allowed, within
    /// the time of a trial.
    pub(super) fn broken_beside(&self, model: &ServingModel) -> bool {
        let now = Instant::now();
        if self.state.lock().as_ref().is_some_and(|running| running.before.version == model.version)
        {
            // It was active when the request began, and is what the trial would go back to.
            return false;
        }
        let mut beside = self.beside.lock();
        let none = Failures { count: 0, until: now + TIME };
        let failures = beside.entry(model.version.clone()).or_insert(none);
        if failures.until <= now {
            *failures = Failures { count: 0, until: now + TIME };
        }
        failures.count += 1;
        let withdrawn = failures.count >= ALLOWED;
        if withdrawn {
            beside.remove(&model.version);
        }
        withdrawn
    }

    /// Begins to count anew.
    pub(super) fn forget_beside(&self, version: &str) {
        self.beside.lock().remove(version);
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
