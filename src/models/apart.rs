//! Models of a gateway whose roles run in other processes: each role loads a bundle beside those it has, and
//! a model is ready when every process of every role has it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use parking_lot::Mutex;
use plugrank_contract::{
    Call, CallError, Context,
    loading::{self, CheckBundle, ListBundles, ListModels, LoadBundle, LoadState},
};
use plugrank_gateway::{
    BundleFolder, KeptModel, KeptModels, LoadModel, ModelLoadProgress, OpenedModel, ProgressReader,
    ServingModel,
};
use plugrank_store::Store;
use plugrank_transport::{Remote, Service};
use tokio::time::{Instant, sleep};

use crate::wiring::serving::RemoteRoles;

/// For a call about models: checking reads every file of a bundle.
const CALL: Duration = Duration::from_secs(60);
/// Between two looks at how far loading is.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a process may be without a model that it was told to load: it may have just come.
const ABSENT: Duration = Duration::from_secs(5);
/// How often it is told again.
const TOLD: usize = 3;
/// How long loading may stand still.
const STILL: Duration = Duration::from_secs(600);
/// For finding out which model there is, at the start.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Loads bundles in the processes of the roles.
pub struct RemoteLoader {
    roles: RemoteRoles,
}

impl RemoteLoader {
    /// A loader for these roles.
    #[must_use]
    pub fn new(roles: RemoteRoles) -> Self {
        Self { roles }
    }
}

/// The model a gateway begins with: the one that was activated last, where every role has it; else that of
/// the roles' settings. Where they do not answer yet, each of them answers with the one it has.
pub async fn begin(roles: &RemoteRoles, store: &Arc<dyn Store>) -> ServingModel {
    let kept = KeptModels::read(store).await.unwrap_or_else(|error| {
        tracing::warn!(error, "it is not known which model was active before");
        KeptModels::default()
    });
    let found = tokio::time::timeout(FIRST_LOOK, first(roles, kept.active)).await;
    match found.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {FIRST_LOOK:?}"))) {
        Ok(model) => model,
        Err(error) => {
            let reason = format!("{error:#}");
            tracing::warn!(reason, "which model the roles have is not known yet");
            roles.unnamed()
        }
    }
}

async fn first(roles: &RemoteRoles, active: Option<KeptModel>) -> Result<ServingModel> {
    if let Some(KeptModel { version, folder }) = active {
        let (name, folder) = (loading::name(&version, folder.as_deref()), folder.as_deref());
        if state_of(roles, name).await? == LoadState::Ready {
            return Ok(roles.model(&version, folder));
        }
        tracing::warn!(version, "not every role has the model that was active before");
    }
    match state_of(roles, loading::SETTINGS).await? {
        LoadState::Ready => {
            let check = CheckBundle { folder: None };
            let version = ask(&roles.scoring, check).await?.version;
            Ok(roles.model(&version, None))
        }
        _ => bail!("not every role has the model of its settings"),
    }
}

/// State of a model in the role that is furthest behind.
async fn state_of(roles: &RemoteRoles, name: &str) -> Result<LoadState, CallError> {
    let mut state = LoadState::Ready;
    for (_, remote) in with_models(roles) {
        state = state.max(ask::<ListModels>(remote, ListModels {}).await?.state(name));
    }
    Ok(state)
}

/// Roles that have models, those that others ask first.
fn with_models(roles: &RemoteRoles) -> impl Iterator<Item = (&'static str, &Remote)> {
    let embedding = roles.embedding.as_ref().map(|remote| ("embedding", remote));
    embedding.into_iter().chain([("scoring", &roles.scoring), ("retrieval", &roles.retrieval)])
}

async fn ask<C: Call>(remote: &Remote, call: C) -> Result<C::Reply, CallError> {
    Service::<C>::call(remote, Context::background().within(CALL), call).await
}

#[async_trait]
impl LoadModel for RemoteLoader {
    async fn open(&self, folder: Option<&str>) -> Result<Box<dyn OpenedModel>, String> {
        let folder = folder.map(str::to_owned);
        let check = CheckBundle { folder: folder.clone() };
        let checked = ask(&self.roles.scoring, check).await.map_err(|error| error.message)?;
        let (version, roles) = (checked.version, self.roles.clone());
        Ok(Box::new(Opened { roles, folder, version, progress: Arc::default() }))
    }

    async fn folders(&self) -> Result<Vec<BundleFolder>, String> {
        let listed = ask(&self.roles.scoring, ListBundles {}).await;
        let folders = listed.map_err(|error| error.message)?.folders.into_iter();
        Ok(folders.map(|(name, mark)| BundleFolder { name, mark }).collect())
    }
}

/// A bundle that a scoring process has checked.
struct Opened {
    roles: RemoteRoles,
    folder: Option<String>,
    version: String,
    progress: Arc<Mutex<ModelLoadProgress>>,
}

#[async_trait]
impl OpenedModel for Opened {
    fn version(&self) -> &str {
        &self.version
    }

    fn progress(&self) -> ProgressReader {
        let progress = Arc::clone(&self.progress);
        Arc::new(move || progress.lock().clone())
    }

    /// One role after the other: retrieval reads the vectors of the embedding role.
    async fn start(self: Box<Self>) -> Result<ServingModel, String> {
        for (role, remote) in with_models(&self.roles) {
            self.load(role, remote).await.map_err(|error| format!("{role}: {error:#}"))?;
        }
        Ok(self.roles.model(&self.version, self.folder.as_deref()))
    }
}

impl Opened {
    /// Has every process of a role load it, and waits until all have it.
    async fn load(&self, role: &str, remote: &Remote) -> Result<()> {
        let name = loading::name(&self.version, self.folder.as_deref());
        let tell = || {
            let (folder, version) = (self.folder.clone(), self.version.clone());
            ask(remote, LoadBundle { folder, version })
        };
        tell().await?;
        let (mut told, mut seen) = (1, Instant::now());
        let (mut moved, mut unanswered) = (Instant::now(), 0_u32);
        loop {
            sleep(LOOK_EVERY).await;
            let state = match ask::<ListModels>(remote, ListModels {}).await {
                Ok(here) => {
                    unanswered = 0;
                    here.state(name)
                }
                Err(error) => {
                    unanswered += 1;
                    if unanswered > 20 {
                        return Err(error).context("how far loading is cannot be asked");
                    }
                    continue;
                }
            };
            match state {
                LoadState::Ready => return Ok(()),
                LoadState::Failed(reason) => bail!(reason),
                LoadState::Loading { phase, done, of } => {
                    seen = Instant::now();
                    let now = ModelLoadProgress { phase: format!("{role}: {phase}"), done, of };
                    let mut progress = self.progress.lock();
                    if *progress != now {
                        *progress = now;
                        moved = seen;
                    }
                }
                LoadState::Absent if seen.elapsed() < ABSENT => {}
                LoadState::Absent if told < TOLD => {
                    tell().await?;
                    (told, seen) = (told + 1, Instant::now());
                }
                LoadState::Absent => bail!("a process does not keep it: it ends while it loads"),
            }
            if moved.elapsed() > STILL {
                bail!("loading has stood still for {STILL:?}");
            }
        }
    }
}
