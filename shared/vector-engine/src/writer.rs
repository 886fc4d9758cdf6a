//! Fills the shared index and keeps it up to date.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use plugrank_contract::ItemId;
use plugrank_items::follow::Pause;
use plugrank_retrieval::{RetrievalError, engine::EngineHost};
use plugrank_store::{ChangeLog, ChangePosition, ItemVector, changes::Next};
use plugrank_store_redis::VectorSets;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::space::{Space, write};

/// How long the lease holds; one that ends without giving it back delays changes by so much.
const LEASE: Duration = Duration::from_secs(10);
/// How often is looked for what others did.
const LOOK: Duration = Duration::from_secs(1);
/// Items that are read and written at a time.
const CHUNK: usize = 512;
/// How long a space stays that is not written any more, such as that of a bundle no longer in use.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How often that time begins anew for the one in use.
const TOUCH: Duration = Duration::from_secs(3_600);
/// How long one that was replaced can still be searched by who does not know yet.
const REPLACED: Duration = Duration::from_secs(60);

/// What is said of a bundle's space.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Filled {
    /// Tells it from those that were filled before.
    generation: u64,
    /// Vectors that were in it.
    vectors: u64,
    /// What it stands for, where the store tells of changes.
    position: Option<ChangePosition>,
}

/// Fills the space of the bundle in use and keeps it up to date, while it holds the lease.
pub(crate) struct Writer {
    host: EngineHost,
    sets: VectorSets,
    log: Option<Arc<dyn ChangeLog>>,
    /// Name of this process at the lease.
    me: String,
    /// Whether this process has filled a space.
    filled: bool,
    /// When the space in use was last touched.
    touched: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(host: EngineHost, sets: VectorSets) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let me = format!("{}-{}", std::process::id(), now.as_nanos());
        let log = host.store().changes();
        Self { host, sets, log, me, filled: false, touched: None }
    }

    /// Does so until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut pause = Pause::new();
        loop {
            let round = self.round().await;
            if round.is_err() || self.host.is_published() {
                self.host.asked();
            }
            match round {
                Ok(()) => pause.over(),
                Err(error) => pause.after("the vector engine is not kept up", &error).await,
            }
        }
    }

    /// Takes over what is there, and does what is to be done by who holds the lease.
    async fn round(&mut self) -> Result<(), RetrievalError> {
        let bundle = self.host.fetch_vectors(&[], false).await?.bundle;
        let said = self.sets.state(&bundle).await.map_err(RetrievalError::engine)?;
        let mut filled: Option<Filled> = said.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        if let Some(known) = &filled {
            let count = self
                .sets
                .count(&space_name(&bundle, known))
                .await
                .map_err(RetrievalError::engine)?;
            // Shards that a server lost and that were not taken out.
            if count < known.vectors - known.vectors / 10 {
                tracing::warn!(count, expected = known.vectors, "the vector engine lost vectors");
                filled = None;
            } else {
                self.publish(&bundle, known, count);
            }
        }
        if filled.is_none() {
            // Nothing found would be no answer.
            self.host.withdraw();
        }
        if !self.holds_lease(&bundle).await? {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        }
        match filled {
            // Without word of changes only what this process filled itself is known to be right.
            Some(known) if self.log.is_some() || self.filled => self.keep_up(&bundle, known).await,
            known => self.fill(&bundle, known).await,
        }
    }

    async fn holds_lease(&self, bundle: &str) -> Result<bool, RetrievalError> {
        self.sets.lease(bundle, &self.me, LEASE).await.map_err(RetrievalError::engine)
    }

    /// Lets searches use a space.
    fn publish(&self, bundle: &str, filled: &Filled, count: u64) {
        let space = Space::new(self.sets.clone(), space_name(bundle, filled), count);
        self.host.publish(bundle, Arc::new(space));
    }

    async fn say(&self, bundle: &str, filled: &Filled) -> Result<(), RetrievalError> {
        let bytes = postcard::to_stdvec(filled)
            .map_err(|error| RetrievalError::Engine(format!("not serializable: {error}")))?;
        self.sets.set_state(bundle, &bytes, UNUSED).await.map_err(RetrievalError::engine)
    }

    /// Fills a new space and puts it in the place of the old one, if there was one.
    async fn fill(&mut self, bundle: &str, old: Option<Filled>) -> Result<(), RetrievalError> {
        let begun = Instant::now();
        let position = match &self.log {
            Some(log) => Some(log.end().await?),
            None => None,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut new = Filled { generation: now.as_millis() as u64, vectors: 0, position };
        let name = space_name(bundle, &new);
        let mut after: Option<ItemId> = None;
        loop {
            let page = self.host.store().scan_items(after.as_ref(), CHUNK).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.item.item_id.clone());
            let items: Vec<(ItemId, bool)> = page
                .iter()
                .map(|stored| (stored.item.item_id.clone(), stored.item.available))
                .collect();
            self.write(bundle, &name, items).await?;
            self.holds_lease(bundle).await?;
        }
        new.vectors = self.sets.count(&name).await.map_err(RetrievalError::engine)?;
        self.say(bundle, &new).await?;
        self.publish(bundle, &new, new.vectors);
        (self.filled, self.touched) = (true, None);
        if let Some(old) = old {
            self.sets
                .expire(&space_name(bundle, &old), REPLACED)
                .await
                .map_err(RetrievalError::engine)?;
        }
        tracing::info!(
            vectors = new.vectors,
            bundle,
            seconds = begun.elapsed().as_secs_f64(),
            "the vector engine is filled"
        );
        Ok(())
    }

    /// Follows the store's changes for a while.
    async fn keep_up(&mut self, bundle: &str, known: Filled) -> Result<(), RetrievalError> {
        let name = space_name(bundle, &known);
        if self.touched.is_none_or(|touched| touched.elapsed() > TOUCH) {
            self.sets.expire(&name, UNUSED).await.map_err(RetrievalError::engine)?;
            self.say(bundle, &known).await?;
            self.touched = Some(Instant::now());
        }
        let (Some(log), Some(position)) = (self.log.clone(), &known.position) else {
            tokio::time::sleep(LOOK).await;
            return Ok(());
        };
        match log.after(position).await? {
            Next::Nothing => Ok(log.wait(position, LOOK).await?),
            Next::Lost => self.fill(bundle, Some(known)).await,
            Next::Changes(changes) => {
                let items = self.host.items();
                for ids in changes.items.chunks(CHUNK) {
                    // The table may not have been told about the change yet, and vectors are made of
                    // what it has.
                    items.refresh(self.host.store().as_ref(), ids).await?;
                    let (mut there, mut gone) = (Vec::new(), Vec::new());
                    {
                        let view = items.view();
                        for id in ids {
                            match view.index_of(id.as_str()) {
                                Some(index) => there.push((id.clone(), view.available(index))),
                                None => gone.push(id.clone()),
                            }
                        }
                    }
                    self.sets.remove(&name, &gone).await.map_err(RetrievalError::engine)?;
                    self.write(bundle, &name, there).await?;
                    self.holds_lease(bundle).await?;
                }
                let vectors = self.sets.count(&name).await.map_err(RetrievalError::engine)?;
                let position = Some(changes.position);
                self.say(bundle, &Filled { position, vectors, ..known }).await
            }
        }
    }

    /// Writes the vectors of items, with whether they are shown.
    async fn write(
        &self,
        bundle: &str,
        space: &str,
        items: Vec<(ItemId, bool)>,
    ) -> Result<(), RetrievalError> {
        let numbered: Vec<_> = (0..).zip(items.iter().map(|(id, _)| id.clone())).collect();
        let fetched = self.host.fetch_vectors(&numbered, true).await?;
        if fetched.bundle != bundle {
            return Err(RetrievalError::Engine(format!(
                "the bundle changed from {bundle} to {}",
                fetched.bundle
            )));
        }
        let mut vectors: HashMap<u32, Vec<f32>> = fetched.vectors.into_iter().collect();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (number, (id, available)) in (0..).zip(items) {
            match vectors.remove(&number) {
                Some(vector) => with.push(ItemVector { id, vector, available }),
                None => without.push(id),
            }
        }
        write(&self.sets, space, without, with).await.map_err(RetrievalError::engine)
    }
}

fn space_name(bundle: &str, filled: &Filled) -> String {
    format!("{bundle}#{}", filled.generation)
}
