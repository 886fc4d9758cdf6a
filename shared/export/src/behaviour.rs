//! What users did, in the order of the file; and `users.parquet`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::{TimestampMs, User, UserId, feature::Number};
use plugrank_dataset::{FeatureType, InteractionRow, TableTarget, UserWriter};
use plugrank_store::{Store, StoreError};

use crate::{
    ExportError, ExportOptions, ExportReport, ExportWatch, PAGE,
    catalog::{Items, note},
};

/// Profiles that are read at a time.
const READS: usize = 64;

/// One interaction, users and items by number.
#[derive(Clone, Copy, Debug)]
struct Row {
    timestamp: TimestampMs,
    user: u32,
    item: u32,
    /// NaN where there is none.
    value: f64,
    /// Its place among the actions; beyond them where there is none.
    action: u16,
    clicked: bool,
}

/// Profiles between two words of progress.
const ROWS: usize = 8_192;

/// All interactions, in the order of the file.
pub(crate) struct Behaviour {
    users: Vec<UserId>,
    rows: Vec<Row>,
    /// Names of actions.
    actions: Vec<Arc<str>>,
    /// Of items, their places in the order of ids.
    item_places: Vec<u32>,
}

impl Behaviour {
    /// Reads the histories of all users.
    pub(crate) async fn read(
        store: &Arc<dyn Store>,
        items: &Items,
        options: &ExportOptions,
        watch: &dyn ExportWatch,
        report: &mut ExportReport,
    ) -> Result<Self, ExportError> {
        watch.begin("histories", None);
        let mut numbers: HashMap<UserId, u32> = HashMap::new();
        let mut rows = Vec::new();
        let mut actions = Actions::default();
        let mut cursor = None;
        loop {
            let page = store.scan_histories(cursor, PAGE).await?;
            watch.advance(page.entries.len() as u64).await?;
            for (user, entry) in page.entries {
                if !options.range.contains(entry.timestamp) {
                    report.other_time += 1;
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
                let value = entry.value.map_or(f64::NAN, Number::as_f64);
                let action = actions.place(entry.action);
                rows.push(Row { timestamp, user, item, value, action, clicked });
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        watch.end();
        let behaviour = Self { actions: actions.names, ..Self::sorted(&numbers, rows, items) };
        report.users = behaviour.users.len() as u64;
        report.interactions = behaviour.rows.len() as u64;
        Ok(behaviour)
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
        // Clicked ones first, and of equal rows the first stays: a click is not undone.
        rows.sort_unstable_by_key(|row| {
            (row.timestamp, row.user, item_places[row.item as usize], !row.clicked)
        });
        rows.dedup_by_key(|row| (row.timestamp, row.user, row.item));
        let users = named.into_iter().map(|(user, _)| user).collect();
        Self { users, rows, actions: Vec::new(), item_places }
    }

    /// The row of an entry, by the user's id and the item's number.
    pub(crate) fn row(&self, user: &UserId, item: u32, timestamp: TimestampMs) -> Option<usize> {
        let user = self.users.binary_search(user).ok()? as u32;
        let wanted = (timestamp, user, *self.item_places.get(item as usize)?);
        let key = |row: &Row| (row.timestamp, row.user, self.item_places[row.item as usize]);
        self.rows.binary_search_by_key(&wanted, key).ok()
    }

    /// Whether a row is of a user.
    pub(crate) fn is_of(&self, row: usize, user: &UserId) -> bool {
        self.rows.get(row).is_some_and(|row| self.users[row.user as usize] == *user)
    }

    /// Whether anything was shown that was not clicked.
    pub(crate) fn has_impressions(&self) -> bool {
        self.rows.iter().any(|row| !row.clicked)
    }

    /// Writes `users.parquet`.
    pub(crate) async fn write_users(
        &self,
        store: &Arc<dyn Store>,
        target: TableTarget,
        watch: &dyn ExportWatch,
    ) -> Result<(), ExportError> {
        watch.begin("users", Some(self.users.len() as u64));
        let mut profiles: Vec<User> = Vec::with_capacity(self.users.len());
        for users in self.users.chunks(ROWS) {
            let read: Vec<User> = stream::iter(users)
                .map(|id| async {
                    let profile = store.user(id).await?;
                    Ok::<_, StoreError>(profile.map_or_else(
                        || User { user_id: id.clone(), features: Default::default() },
                        |profile| (*profile).clone(),
                    ))
                })
                .buffered(READS)
                .try_collect()
                .await?;
            watch.advance(read.len() as u64).await?;
            profiles.extend(read);
        }
        let mut columns = BTreeMap::new();
        profiles.iter().for_each(|user| note(&mut columns, &user.features));
        let columns: Vec<(&str, FeatureType)> =
            columns.iter().map(|(name, of)| (&**name, *of)).collect();
        let mut file = UserWriter::create(target, &columns)?;
        for user in profiles {
            file.write(user)?;
        }
        file.finish()?;
        watch.end();
        Ok(())
    }

    /// Interactions, in the order of the file.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The interactions of these items, with neither request nor position.
    pub(crate) fn interactions<'a>(
        &'a self,
        items: &'a Items,
    ) -> impl Iterator<Item = InteractionRow> + 'a {
        self.rows.iter().map(|row| InteractionRow {
            user_id: self.users[row.user as usize].clone(),
            item_id: items.ids[row.item as usize].clone(),
            timestamp: row.timestamp,
            clicked: row.clicked,
            request_id: None,
            position: None,
            action: self.actions.get(usize::from(row.action)).cloned(),
            value: Number::new(row.value),
        })
    }
}

/// Names of actions, each once.
#[derive(Default)]
struct Actions {
    names: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u16>,
}

impl Actions {
    /// None, or one too many: there is no such place.
    const NONE: u16 = u16::MAX;

    fn place(&mut self, action: Option<Arc<str>>) -> u16 {
        let Some(action) = action else { return Self::NONE };
        if let Some(place) = self.places.get(&action) {
            return *place;
        }
        let place = u16::try_from(self.names.len()).unwrap_or(Self::NONE);
        if place != Self::NONE {
            self.names.push(Arc::clone(&action));
            self.places.insert(action, place);
        }
        place
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
