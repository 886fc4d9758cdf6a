//! The models of a process that has one role: calls name the one that answers, and further ones are loaded
//! beside it.
//!
//! Which models there are is said by the gateways, in the document `models` of the store: what is listed there
//! and is not here is loaded, and what is listed no longer is given up.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web::ServiceConfig;
use anyhow::{Result, ensure};
use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use plugrank_background::beside;
use plugrank_body::BodyMemory;
use plugrank_contract::{
    Call, CallError, Context,
    loading::{self, ListedModel, LoadState, ModelsListed},
};
use plugrank_gateway::{KeptModel, KeptModels};
use plugrank_runtime::{Health, Metrics};
use plugrank_store::Store;
use plugrank_transport::{Client, Service};

use super::{memory, own_snapshots, own_threads};
use crate::{
    Settings,
    load::Progress,
    wiring::{Model, Node, ServedNow, Threads},
};

/// How often the document is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a model is kept after it is listed no longer: until every gateway has seen that.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);
/// How long a loaded model may wait to be listed.
const UNLISTED: Duration = Duration::from_secs(15 * 60);

/// The calls of a role, as one model answers them.
#[async_trait(?Send)]
pub trait RoleCalls: Sized + Send + Sync + 'static {
    /// Starts the role over a model; `model` is none where the encoders, and with them the bundle, are in
    /// other processes.
    async fn start(node: &Node, named: &Named, model: Option<&Model>) -> Result<Self>;

    /// Adds its routes; each call is answered by the model it names.
    fn routes(models: &Arc<RoleModels<Self>>, config: &mut ServiceConfig);

    /// Done when the model becomes the active one.
    fn activated(&self) {}
}

/// Which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Version of its bundle.
    pub version: String,
    /// Its folder among the models; none for the bundle of the settings.
    pub folder: Option<String>,
}

impl Named {
    /// What calls name it.
    #[must_use]
    pub fn name(&self) -> &str {
        loading::name(&self.version, self.folder.as_deref())
    }
}

impl From<KeptModel> for Named {
    fn from(KeptModel { version, folder }: KeptModel) -> Self {
        Self { version, folder }
    }
}

/// What the models of a process share.
pub struct RoleProcess {
    /// The role, in messages.
    pub role: &'static str,
    /// The settings in force.
    pub settings: Settings,
    /// Where the document is, and what models read.
    pub store: Arc<dyn Store>,
    /// What bodies may take.
    pub bodies: BodyMemory,
    /// Where the active model's metrics are shown.
    pub metrics: Metrics,
    /// Where its checks are asked.
    pub health: Health,
    /// Whose graphs are served by another protocol.
    pub open_inference: ServedNow,
    /// Whether a model needs its bundle here.
    pub needs_bundle: bool,
}

/// A model that answers.
struct RoleModel<T> {
    named: Named,
    calls: T,
    metrics: Metrics,
    health: Health,
    /// When it is given up, unless a call wants it until then.
    wanted_until: Mutex<Instant>,
    _threads: Threads,
}

/// A model that is not the active one.
enum OtherModel<T> {
    Loading(Named, Progress),
    Ready(Arc<RoleModel<T>>),
    Failed(Named, String),
}

impl<T> RoleModel<T> {
    fn want_for(&self, time: Duration) {
        *self.wanted_until.lock() = Instant::now() + time;
    }
}

impl<T> OtherModel<T> {
    fn named(&self) -> &Named {
        match self {
            Self::Loading(named, _) | Self::Failed(named, _) => named,
            Self::Ready(model) => &model.named,
        }
    }
}

/// The models of a process by state.
struct ModelSet<T> {
    active: Arc<RoleModel<T>>,
    /// By what calls name them.
    others: BTreeMap<String, OtherModel<T>>,
}

/// The models of a process.
pub struct RoleModels<T> {
    process: RoleProcess,
    set: RwLock<ModelSet<T>>,
    system: actix::System,
}

impl<T: RoleCalls> RoleModels<T> {
    /// Begins with a model, which answers calls that name none.
    ///
    /// # Errors
    /// When it cannot be started.
    ///
    /// # Panics
    /// Outside an actix system.
    pub async fn begin(
        process: RoleProcess,
        named: Named,
        model: Option<Model>,
        progress: Progress,
    ) -> Result<Arc<Self>> {
        let threads = Threads::default();
        let active = process.node(&named, progress, threads.clone());
        let active = start(active, named, model, threads).await?;
        let set = RwLock::new(ModelSet { active: Arc::new(active), others: BTreeMap::new() });
        let models = Arc::new(Self { process, set, system: actix::System::current() });
        models.show(&models.active());
        Ok(models)
    }

    /// The settings of the process.
    pub(super) fn settings(&self) -> &Settings {
        &self.process.settings
    }

    /// Reads something of the calls of the active model.
    pub fn of_active<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.active().calls)
    }

    /// Version of the active model, and its folder.
    pub fn active_model(&self) -> Named {
        self.active().named.clone()
    }

    fn active(&self) -> Arc<RoleModel<T>> {
        Arc::clone(&self.set.read().active)
    }

    fn show(&self, model: &RoleModel<T>) {
        self.process.metrics.show(&model.metrics);
        self.process.health.include(&model.health);
        model.calls.activated();
    }

    /// Who answers a call.
    fn find(&self, name: Option<&str>) -> Result<Arc<RoleModel<T>>, CallError> {
        let set = self.set.read();
        let Some(name) = name else { return Ok(Arc::clone(&set.active)) };
        if set.active.named.name() == name {
            return Ok(Arc::clone(&set.active));
        }
        match set.others.get(name) {
            Some(OtherModel::Ready(model)) => Ok(Arc::clone(model)),
            _ => {
                let role = self.process.role;
                Err(CallError::no_model(format!("{role}: model {name} is not loaded here")))
            }
        }
    }

    /// Begins to load a model, unless it is here or on its way.
    ///
    /// # Errors
    /// Why it cannot be loaded, for people.
    pub(super) async fn load(self: &Arc<Self>, named: Named) -> Result<(), String> {
        let name = named.name().to_owned();
        let progress = Progress::hidden();
        {
            let mut set = self.set.write();
            if set.active.named.name() == name {
                set.active.want_for(UNLISTED);
                return Ok(());
            }
            match set.others.get(&name) {
                Some(OtherModel::Ready(model)) => {
                    model.want_for(UNLISTED);
                    return Ok(());
                }
                Some(OtherModel::Loading(..)) => return Ok(()),
                Some(OtherModel::Failed(..)) | None => {}
            }
            set.others.insert(name.clone(), OtherModel::Loading(named.clone(), progress.clone()));
        }
        let model = match self.open(&named).await {
            Ok(model) => model,
            Err(error) => {
                let reason = format!("{error:#}");
                self.set.write().others.insert(name, OtherModel::Failed(named, reason.clone()));
                return Err(reason);
            }
        };
        let models = Arc::clone(self);
        tokio::spawn(async move {
            let begun = Instant::now();
            let started = models.start_beside(named.clone(), model, progress).await;
            let other = match started {
                Ok(model) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    tracing::info!(version = named.version, seconds, "a model is loaded");
                    OtherModel::Ready(Arc::new(model))
                }
                Err(reason) => {
                    tracing::error!(version = named.version, reason, "a model cannot be loaded");
                    OtherModel::Failed(named, reason)
                }
            };
            models.set.write().others.insert(name, other);
        });
        Ok(())
    }

    /// Opens its bundle and checks that it fits, where the role reads bundles.
    async fn open(&self, named: &Named) -> Result<Option<Model>> {
        if !self.process.needs_bundle {
            return Ok(None);
        }
        let items = self.process.store.item_count().await?;
        let (settings, named) = (self.process.settings.clone(), named.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let model = beside(|| Model::open_folder(&settings, named.folder.as_deref()))?;
            let found = model.bundle.version();
            ensure!(found == named.version, "it has version {found}, not {}", named.version);
            memory::check(&model.bundle, items)?;
            Ok(model)
        });
        opened.await?.map(Some)
    }

    async fn start_beside(
        &self,
        named: Named,
        model: Option<Model>,
        progress: Progress,
    ) -> Result<RoleModel<T>, String> {
        let parts = self.process.parts(&named);
        own_threads(&self.system, move |threads| async move {
            start(parts.node(progress, threads.clone()), named, model, threads).await
        })
        .await
    }

    /// Does what the document says, in turns; ends only by being dropped.
    pub async fn follow(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut refused: Vec<Named> = Vec::new();
        loop {
            ticks.tick().await;
            let Ok(KeptModels { active: Some(active), beside }) =
                KeptModels::read(&self.process.store).await
            else {
                continue;
            };
            let active = Named::from(active);
            let listed: Vec<Named> =
                std::iter::once(active.clone()).chain(beside.into_iter().map(Into::into)).collect();
            refused.retain(|named| listed.contains(named));
            for named in &listed {
                if refused.contains(named) || self.is_here(named.name()) {
                    continue;
                }
                if let Err(reason) = self.load(named.clone()).await {
                    let version = &named.version;
                    tracing::warn!(version, reason, "a model that the gateways have is not loaded");
                    refused.push(named.clone());
                }
            }
            self.activate(active.name());
            self.give_up(&listed);
        }
    }

    /// Makes a model that is here the one for calls that name none.
    fn activate(&self, name: &str) {
        let mut set = self.set.write();
        if set.active.named.name() == name
            || !matches!(set.others.get(name), Some(OtherModel::Ready(_)))
        {
            return;
        }
        let Some(OtherModel::Ready(model)) = set.others.remove(name) else { return };
        let before = std::mem::replace(&mut set.active, Arc::clone(&model));
        set.others.insert(before.named.name().to_owned(), OtherModel::Ready(before));
        drop(set);
        tracing::info!(version = model.named.version, "a model was activated");
        self.show(&model);
    }

    /// Whether a model is here or on its way.
    fn is_here(&self, name: &str) -> bool {
        let set = self.set.read();
        let beside = set.others.get(name);
        set.active.named.name() == name
            || beside.is_some_and(|other| !matches!(other, OtherModel::Failed(..)))
    }

    /// Gives up what was listed and is no longer, and what has not been listed for long.
    fn give_up(&self, listed: &[Named]) {
        let is_listed = |model: &RoleModel<T>| listed.contains(&model.named);
        let mut set = self.set.write();
        if is_listed(&set.active) {
            set.active.want_for(GIVEN_UP_AFTER);
        }
        set.others.retain(|_, other| {
            let OtherModel::Ready(model) = other else { return true };
            if is_listed(model) {
                model.want_for(GIVEN_UP_AFTER);
                return true;
            }
            let wanted = Instant::now() < *model.wanted_until.lock();
            if !wanted {
                tracing::info!(version = model.named.version, "a model was given up");
            }
            wanted
        });
    }

    /// Every model and its state.
    pub(super) fn here(&self) -> ModelsListed {
        let set = self.set.read();
        let here = |named: &Named, state| ListedModel {
            name: named.name().to_owned(),
            version: named.version.clone(),
            state,
        };
        let others = set.others.values().map(|other| {
            let state = match other {
                OtherModel::Ready(_) => LoadState::Ready,
                OtherModel::Failed(_, reason) => LoadState::Failed(reason.clone()),
                OtherModel::Loading(_, progress) => {
                    let (phase, done, of) = progress.present().unwrap_or_default();
                    LoadState::Loading { phase, done, of }
                }
            };
            here(other.named(), state)
        });
        let active = here(&set.active.named, LoadState::Ready);
        let mut models: Vec<ListedModel> = std::iter::once(active).chain(others).collect();
        models.sort_by(|one, other| one.name.cmp(&other.name));
        ModelsListed { models }
    }
}

/// What a model's node is made of.
struct NodeParts {
    settings: Settings,
    store: Arc<dyn Store>,
    bodies: BodyMemory,
    open_inference: ServedNow,
}

impl RoleProcess {
    fn parts(&self, named: &Named) -> NodeParts {
        let mut settings = self.settings.clone();
        if named.folder.is_some() {
            own_snapshots(&mut settings, &named.version);
        }
        let (store, bodies) = (Arc::clone(&self.store), self.bodies.clone());
        NodeParts { settings, store, bodies, open_inference: self.open_inference.clone() }
    }

    fn node(&self, named: &Named, progress: Progress, threads: Threads) -> Node {
        self.parts(named).node(progress, threads)
    }
}

impl NodeParts {
    fn node(self, progress: Progress, threads: Threads) -> Node {
        let Self { settings, store, bodies, open_inference } = self;
        let node = Node::new(settings, store, Metrics::of_part(), bodies, progress);
        Node { threads, open_inference, ..node }
    }
}

async fn start<T: RoleCalls>(
    node: Node,
    named: Named,
    model: Option<Model>,
    threads: Threads,
) -> Result<RoleModel<T>> {
    let calls = T::start(&node, &named, model.as_ref()).await?;
    let Node { metrics, health, .. } = node;
    Ok(RoleModel {
        named,
        calls,
        metrics,
        health,
        wanted_until: Mutex::new(Instant::now() + UNLISTED),
        _threads: threads,
    })
}

/// A call of a role, answered by the model it names.
struct ByModel<T, C: Call> {
    models: Arc<RoleModels<T>>,
    of: fn(&T) -> Option<&Client<C>>,
}

/// A client of a call that is answered by the model it names.
pub(super) fn by_model<T: RoleCalls, C: Call>(
    models: &Arc<RoleModels<T>>,
    of: fn(&T) -> Option<&Client<C>>,
) -> Client<C> {
    Arc::new(ByModel { models: Arc::clone(models), of })
}

#[async_trait]
impl<T: RoleCalls, C: Call> Service<C> for ByModel<T, C> {
    async fn call(&self, context: Context, call: C) -> Result<C::Reply, CallError> {
        let model = self.models.find(context.model.as_deref())?;
        match (self.of)(&model.calls) {
            Some(client) => client.call(context, call).await,
            None => Err(CallError::no_model(format!("{} is answered by another role", C::PATH))),
        }
    }
}
