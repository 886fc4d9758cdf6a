//! Brings a namespace of the schema before this one (3) to this one, in another namespace of the same servers.
//!
//! What is as it was is copied, events are appended anew. What was counted of events that the servers have
//! forgotten since stays. Cached vectors are not copied: they are made again. Everything may be repeated.

use plugrank_contract::{HistoryEntry, ItemId, UserId};
use plugrank_store::{
    NewItem, Store, StoreError, codec,
    schema3::{self, LoadedPopularity},
};
use redis::cmd;

use crate::{
    RedisConnection, RedisOptions, RedisStore,
    batch::Kind,
    connection::Server,
    history,
    keys::{Key, Keys},
    log, stats,
};

/// Items in one exchange: they have images.
const ITEMS: usize = 200;

/// What was written into the new namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceMigration {
    /// Items.
    pub items: u64,
    /// Profiles of users.
    pub users: u64,
    /// Entries of histories.
    pub history: u64,
    /// Events.
    pub events: u64,
}

struct Migration {
    from: RedisStore,
    to: RedisStore,
    done: NamespaceMigration,
}

impl RedisStore {
    /// Brings the namespace of `options`, which the version before this one wrote (schema 3), to this one, in
    /// the namespace `to`. Neither must be in use meanwhile. The old one stays as it is.
    ///
    /// # Errors
    /// As [`RedisStore::connect`]; or the namespace is not of that version.
    pub async fn migrate(
        servers: &RedisConnection,
        options: RedisOptions,
        to: &str,
    ) -> Result<NamespaceMigration, StoreError> {
        let server = Server::new(servers, options.replicas)?;
        let keys = Keys::new(&options.namespace);
        let schema = keys.schema();
        let version: Option<String> =
            server.command(&schema, cmd("GET").arg(&schema).take()).await?;
        if version != Some(schema3::VERSION.to_string()) {
            return Err(StoreError::Corrupt(format!(
                "the Redis namespace \"{}\" is no store of the version before this one (schema {})",
                options.namespace,
                schema3::VERSION
            )));
        }
        let target = RedisOptions { namespace: to.to_owned(), ..options.clone() };
        let to = RedisStore::connect(servers, target).await?;
        let from = RedisStore { server, keys, options };
        let mut migration = Migration { from, to, done: NamespaceMigration::default() };
        migration.items().await?;
        migration.behaviour().await?;
        let popularity = migration.loaded_popularity().await?;
        migration.statistics(&popularity).await?;
        Ok(migration.done)
    }
}

impl Migration {
    async fn items(&mut self) -> Result<(), StoreError> {
        let mut after: Option<ItemId> = None;
        loop {
            let items = self.from.scan_items(after.as_ref(), ITEMS).await?;
            let Some(last) = items.last() else { return Ok(()) };
            after = Some(last.item.item_id.clone());
            let ids: Vec<ItemId> = items.iter().map(|one| one.item.item_id.clone()).collect();
            let images = self.from.images(&ids).await?;
            let new = items.iter().zip(images);
            let new: Vec<NewItem> =
                new.map(|(stored, image)| NewItem { item: stored.item.clone(), image }).collect();
            self.done.items += new.len() as u64;
            self.to.put_items(new).await?;
        }
    }

    /// Users, histories, events and documents, as the servers come across them.
    async fn behaviour(&mut self) -> Result<(), StoreError> {
        let mut pages = Pages::begin(&self.from).await?;
        while let Some(page) = pages.next().await? {
            let (server, keys) = (&self.from.server, &self.from.keys);
            let found = |read: fn(&Keys, &[u8]) -> bool| -> Vec<Key> {
                page.iter().filter(|key| read(keys, key)).cloned().map(Key::from_bytes).collect()
            };
            let users = server.mget(&found(Keys::is_user)).await?.into_iter().flatten();
            let users = users.map(|bytes| codec::decode_user(&bytes));
            let users: Vec<_> = users
                .collect::<Result<_, _>>()
                .map_err(|error| server.unreadable("user", error))?;
            let events = server.mget(&found(Keys::is_event_3)).await?.into_iter().flatten();
            // Behind a byte that says what the event counted.
            let events =
                events.map(|bytes| schema3::read_event(bytes.get(1..).unwrap_or_default()));
            let events: Vec<_> = events
                .collect::<Result<_, _>>()
                .map_err(|error| server.unreadable("an event", error))?;
            let histories: Vec<_> = page.iter().filter_map(|key| keys.history_of(key)).collect();
            let entries = history::entries(server, keys, histories).await?;
            self.done.users += users.len() as u64;
            self.done.events += events.len() as u64;
            self.done.history += entries.len() as u64;
            self.to.put_users(users).await?;
            self.to.put_history(entries).await?;
            self.to.append_events(events).await?;
            let names: Vec<String> = page.iter().filter_map(|key| keys.document_of(key)).collect();
            for name in names {
                if let (Some(document), None) =
                    (self.from.document(&name).await?, self.to.document(&name).await?)
                {
                    self.to.put_document(&name, document.bytes, 0).await?;
                }
            }
        }
        Ok(())
    }

    /// Once all events are appended.
    async fn loaded_popularity(&self) -> Result<LoadedPopularity, StoreError> {
        let mut popularity = LoadedPopularity::new(self.to.options.popularity_half_life);
        let mut pages = Pages::begin(&self.from).await?;
        while let Some(page) = pages.next().await? {
            let clicked = page.iter().filter_map(|key| self.from.keys.history_of(key));
            let clicked: Vec<(UserId, bool)> = clicked.filter(|(_, clicked)| *clicked).collect();
            let users: Vec<UserId> = clicked.iter().map(|(user, _)| user.clone()).collect();
            let entries = history::entries(&self.from.server, &self.from.keys, clicked).await?;
            let events = log::all_events_of(&self.to.server, &self.to.keys, &users).await?;
            for (user, events) in users.iter().zip(events) {
                let of_user = entries.iter().filter(|(of, _)| of == user);
                let history: Vec<HistoryEntry> = of_user.map(|(_, entry)| entry.clone()).collect();
                popularity.count(&history, &events);
            }
        }
        Ok(popularity)
    }

    async fn statistics(&self, popularity: &LoadedPopularity) -> Result<(), StoreError> {
        let (from, to) = (&self.from, &self.to);
        let mut pages = Pages::begin(from).await?;
        while let Some(page) = pages.next().await? {
            let of = |kind| page.iter().filter_map(|key| from.keys.item_of(kind, key)).collect();
            let (counted, near): (Vec<ItemId>, Vec<ItemId>) = (of("stats"), of("near"));
            let counts = stats::counts(&from.server, &from.keys, &counted).await?;
            let loaded = counted.iter().zip(&counts).map(|(id, counts)| {
                let mut loaded = counts.loaded;
                loaded.popularity = popularity.get(id);
                (id.clone(), loaded)
            });
            to.put_item_stats(loaded.collect()).await?;
            let mut batch = to.server.batch(Kind::Durable);
            for (id, counts) in counted.iter().zip(&counts) {
                stats::set_counted(&mut batch, &to.keys, id, counts);
            }
            to.server.send::<()>(batch).await?;
            let lists = from.neighbours(&near).await?;
            to.put_neighbours(near.into_iter().zip(lists).collect()).await?;
        }
        Ok(())
    }
}

/// Keys of a namespace, page by page, at least once each.
struct Pages<'a> {
    store: &'a RedisStore,
    masters: Vec<(String, u16)>,
    at: usize,
    cursor: Option<u64>,
}

impl<'a> Pages<'a> {
    async fn begin(store: &'a RedisStore) -> Result<Self, StoreError> {
        let masters = store.server.masters().await?;
        Ok(Self { store, masters, at: 0, cursor: None })
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        if self.cursor == Some(0) {
            self.at += 1;
            self.cursor = None;
            if self.at >= self.masters.len() {
                return Ok(None);
            }
        }
        let mut command = cmd("SCAN");
        command.arg(self.cursor.unwrap_or(0)).arg("MATCH").arg(self.store.keys.pattern());
        command.arg("COUNT").arg(1000);
        let (cursor, found) = self.store.server.ask(self.masters.get(self.at), command).await?;
        self.cursor = Some(cursor);
        Ok(Some(found))
    }
}
