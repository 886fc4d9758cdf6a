//! `interactions.parquet` and `users.parquet`.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::{TimestampMs, User, UserId};
use plugrank_dataset::{FeatureType, InteractionRow, InteractionWriter, UserWriter};
use plugrank_store::{Store, StoreError};

use super::{
    ExportError, ExportReport, PAGE,
    catalog::{Items, note},
};
use crate::load::Progress;

/// Profiles that are read at a time.
const READS: usize = 64;

/// One interaction, users and items by number.
#[derive(Clone, Copy, Debug)]
struct Row {
    timestamp: TimestampMs,
    user: u32,
    item: u32,
    clicked: bool,
}

/// What showed an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: String,
    /// Where in its list, from 0.
    pub(super) position: Option<u32>,
}

/// All interactions, in the order of the file.
pub(super) struct Behaviour {
    users: Vec<UserId>,
    rows: Vec<Row>,
    /// Of items, their places in the order of ids.
    item_places: Vec<u32>,
    /// Of rows, by what they were shown.
    requests: HashMap<usize, Request>,
}

impl Behaviour {
    /// Reads the histories of all users.
    pub(super) async fn read(
        store: &Arc<dyn Store>,
        items: &Items,
        since: Option<TimestampMs>,
        progress: &Progress,
        report: &mut ExportReport,
    ) -> Result<Self, ExportError> {
        let bar = progress.count("histories");
        let mut numbers: HashMap<UserId, u32> = HashMap::new();
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let page = store.scan_histories(cursor, PAGE).await?;
            bar.inc(page.entries.len() as u64);
            for (user, entry) in page.entries {
                if since.is_some_and(|since| entry.timestamp < since) {
                    report.earlier += 1;
                    continue;
                }
                let Some(item) = items.numbers.get(&entry.item_id).copied() else {
                    report.unknown_items += 1;
                    continue;
                };
                let next = u32::try_from(numbers.len())
                    .map_err(|_| ExportError::TooLarge("more than 4 billion users"))?;
                let user = *numbers.entry(user).or_insert(next);
                let (timestamp, clicked) = (entry.timestamp, entry.clicked);
                rows.push(Row { timestamp, user, item, clicked });
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        bar.finish();
        let behaviour = Self::sorted(&numbers, rows, items);
        report.users = behaviour.users.len() as u64;
        report.interactions = behaviour.rows.len() as u64;
        Ok(behaviour)
    }

    /// With the requests that showed what is in the rows, by row.
    pub(super) fn with_requests(self, requests: HashMap<usize, Request>) -> Self {
        Self { requests, ..self }
    }

    /// Brings users and rows into the order of ids, and rows that were read twice to one.
    fn sorted(numbers: &HashMap<UserId, u32>, mut rows: Vec<Row>, items: &Items) -> Self {
        let mut named: Vec<(UserId, u32)> =
            numbers.iter().map(|(id, number)| (id.clone(), *number)).collect();
        named.sort_unstable();
        let user_places = places(named.iter().map(|(_, number)| *number));
        let mut by_id: Vec<u32> = (0..items.ids.len() as u32).collect();
        by_id.sort_unstable_by_key(|number| &items.ids[*number as usize]);
        let item_places = places(by_id.iter().copied());
        for row in &mut rows {
            row.user = user_places[row.user as usize];
        }
        // Clicked ones first, and of equal rows the first stays: whoever clicked has clicked.
        rows.sort_unstable_by_key(|row| {
            (row.timestamp, row.user, item_places[row.item as usize], !row.clicked)
        });
        rows.dedup_by_key(|row| (row.timestamp, row.user, row.item));
        let users = named.into_iter().map(|(user, _)| user).collect();
        Self { users, rows, item_places, requests: HashMap::new() }
    }

    /// The row of an entry, by the user's id and the item's number.
    pub(super) fn row(&self, user: &UserId, item: u32, timestamp: TimestampMs) -> Option<usize> {
        let user = self.users.binary_search(user).ok()? as u32;
        let wanted = (timestamp, user, *self.item_places.get(item as usize)?);
        let key = |row: &Row| (row.timestamp, row.user, self.item_places[row.item as usize]);
        self.rows.binary_search_by_key(&wanted, key).ok()
    }

    /// Whether anything was shown that was not clicked.
    pub(super) fn has_impressions(&self) -> bool {
        self.rows.iter().any(|row| !row.clicked)
    }

    /// Writes `users.parquet`.
    pub(super) async fn write_users(
        &self,
        store: &Arc<dyn Store>,
        folder: &Path,
        progress: &Progress,
    ) -> Result<(), ExportError> {
        let bar = progress.bar("users", self.users.len() as u64);
        let profiles: Vec<User> = stream::iter(&self.users)
            .map(|id| async {
                let profile = store.user(id).await?;
                bar.inc(1);
                Ok::<_, StoreError>(profile.map_or_else(
                    || User { user_id: id.clone(), features: Default::default() },
                    |profile| (*profile).clone(),
                ))
            })
            .buffered(READS)
            .try_collect()
            .await?;
        bar.finish();
        let mut columns = BTreeMap::new();
        profiles.iter().for_each(|user| note(&mut columns, &user.features));
        let columns: Vec<(&str, FeatureType)> =
            columns.iter().map(|(name, of)| (&**name, *of)).collect();
        let mut file = UserWriter::create(folder, &columns)?;
        for user in &profiles {
            file.write(user)?;
        }
        file.finish()?;
        Ok(())
    }

    /// Writes `interactions.parquet`.
    pub(super) fn write_interactions(
        &self,
        folder: &Path,
        items: &Items,
        progress: &Progress,
    ) -> Result<(), ExportError> {
        let bar = progress.bar("interactions", self.rows.len() as u64);
        let mut file = InteractionWriter::create(folder)?;
        for (at, row) in self.rows.iter().enumerate() {
            let request = self.requests.get(&at);
            file.write(&InteractionRow {
                user_id: self.users[row.user as usize].clone(),
                item_id: items.ids[row.item as usize].clone(),
                timestamp: row.timestamp,
                clicked: row.clicked,
                request_id: request.map(|request| request.id.clone()),
                position: request.and_then(|request| request.position),
            })?;
            bar.inc(1);
        }
        file.finish()?;
        bar.finish();
        Ok(())
    }
}

/// For each number its place among `sorted` ones.
fn places(sorted: impl ExactSizeIterator<Item = u32>) -> Vec<u32> {
    let mut places = vec![0; sorted.len()];
    for (place, number) in sorted.enumerate() {
        places[number as usize] = place as u32;
    }
    places
}
