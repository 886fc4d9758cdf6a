//! Whether the process can do its work: named checks, each with a reason when it fails.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use parking_lot::RwLock;
use serde::Serialize;
use tokio::time::timeout;

/// Longest a check may take; one that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A check, and whether the process takes no requests while it fails.
#[derive(Clone)]
struct Probe {
    ask: Ask,
    required: bool,
}

/// The readiness checks of a process. Clones share them. A process that answers at all is alive,
/// so liveness needs no register.
#[derive(Clone, Default)]
pub struct Health {
    probes: Arc<RwLock<BTreeMap<String, Probe>>>,
    part: Arc<RwLock<Option<Health>>>,
    draining: Arc<AtomicBool>,
}

/// What one check said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// Name of the check.
    pub name: String,
    /// Whether it passed.
    pub ready: bool,
    /// Whether the process can answer while it fails, though not as well; absent where it cannot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the process takes requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether every check passed without which the process cannot answer, and it is not draining.
    pub ready: bool,
    /// Whether a check failed without which it answers less well.
    pub degraded: bool,
    /// The checks, by name.
    pub checks: Vec<CheckResult>,
}

/// A check that is set by hand, e.g. until a model is warm.
#[derive(Clone, Debug)]
pub struct Flag(Arc<RwLock<Result<(), String>>>);

impl Flag {
    /// The check passes from now on.
    pub fn pass(&self) {
        *self.0.write() = Ok(());
    }

    /// The check fails from now on, for `reason`.
    pub fn fail(&self, reason: impl Into<String>) {
        *self.0.write() = Err(reason.into());
    }
}

impl Health {
    /// Without checks: ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check that is asked on every probe; an `Err` says why the process is not ready.
    /// A check of the same name is replaced.
    pub fn probe<F>(&self, name: impl Into<String>, probe: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.insert(name, true, Arc::new(move || probe().boxed()));
    }

    /// Adds a check that readiness reports, and that does not decide about it: what it is about is of use,
    /// and answers are possible without. So an outage of what all processes share does not take all of them
    /// out of service.
    pub fn advise<F>(&self, name: impl Into<String>, probe: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.insert(name, false, Arc::new(move || probe().boxed()));
    }

    fn insert(&self, name: impl Into<String>, required: bool, ask: Ask) {
        self.probes.write().insert(name.into(), Probe { ask, required });
    }

    /// From now on the checks of `part` are asked with these, in place of those of the part that was
    /// included before.
    pub fn include(&self, part: &Self) {
        *self.part.write() = Some(part.clone());
    }

    fn all(&self) -> BTreeMap<String, Probe> {
        let mut all = self.probes.read().clone();
        if let Some(part) = &*self.part.read() {
            all.extend(part.all());
        }
        all
    }

    /// Adds a check that fails for `reason` until its flag says otherwise.
    #[must_use]
    pub fn flag(&self, name: impl Into<String>, reason: impl Into<String>) -> Flag {
        let flag = Flag(Arc::new(RwLock::new(Err(reason.into()))));
        let state = Arc::clone(&flag.0);
        self.probe(name, move || {
            let now = state.read().clone();
            async move { now }
        });
        flag
    }

    /// From now on the process is not ready: it is on its way out.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Asks all checks, side by side.
    pub async fn readiness(&self) -> Readiness {
        let asked = self.all().into_iter().map(|(name, probe)| async move {
            let answer = timeout(CHECK_TIMEOUT, (probe.ask)())
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {CHECK_TIMEOUT:?}")));
            let advisory = !probe.required;
            CheckResult { name, ready: answer.is_ok(), advisory, reason: answer.err() }
        });
        let mut checks = join_all(asked).await;
        if self.is_draining() {
            let reason = Some("the process is shutting down".to_owned());
            let name = "shutdown".to_owned();
            checks.push(CheckResult { name, ready: false, advisory: false, reason });
        }
        let failed = |advisory| {
            let of = move |check: &CheckResult| !check.ready && check.advisory == advisory;
            checks.iter().any(of)
        };
        Readiness { ready: !failed(false), degraded: failed(true), checks }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("draining", &self.draining).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_check_must_pass() {
        let health = Health::new();
        assert!(health.readiness().await.ready);
        let model = health.flag("model", "warming up");
        health.probe("store", || async { Ok(()) });
        let readiness = health.readiness().await;
        assert!(!readiness.ready);
        assert_eq!(readiness.checks[0].reason.as_deref(), Some("warming up"));
        assert!(readiness.checks[1].ready);
        model.pass();
        assert!(health.readiness().await.ready);
        model.fail("its actor is gone");
        assert!(!health.readiness().await.ready);
    }

    #[tokio::test(start_paused = true)]
    async fn optional_checks_are_reported_and_do_not_affect_readiness() {
        let health = Health::new();
        health.advise("store", || async { Err("it does not answer".to_owned()) });
        let readiness = health.readiness().await;
        assert!(readiness.ready && readiness.degraded);
        assert_eq!(readiness.checks[0].reason.as_deref(), Some("it does not answer"));
        let _model = health.flag("model", "warming up");
        let readiness = health.readiness().await;
        assert!(!readiness.ready && readiness.degraded);
    }

    #[tokio::test(start_paused = true)]
    async fn checks_of_one_component_are_included_at_a_time() {
        let (health, broken, whole) = (Health::new(), Health::new(), Health::new());
        let _flag = broken.flag("workers", "gone");
        health.include(&broken);
        assert!(!health.readiness().await.ready);
        health.include(&whole);
        assert!(health.readiness().await.ready);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_check_fails() {
        let health = Health::new();
        health.probe("store", std::future::pending);
        let readiness = health.readiness().await;
        assert!(readiness.checks[0].reason.as_deref().unwrap().contains("no answer"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_draining_process_is_not_ready() {
        let health = Health::new();
        health.drain();
        let readiness = health.readiness().await;
        assert!(!readiness.ready);
        assert_eq!(readiness.checks[0].name, "shutdown");
    }
}
