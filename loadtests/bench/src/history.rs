//! Users' histories, as `docs/bundle-format.md` defines them.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use plugrank_bundle::manifest::HistoryLengths;
use plugrank_contract::{ItemId, User};
use plugrank_dataset::DatasetFolder;

/// An entry of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) item: usize,
    pub(crate) timestamp: i64,
    pub(crate) clicked: bool,
}

/// A user and their history, newest entry first.
pub(crate) struct UserHistory {
    pub(crate) id: String,
    pub(crate) profile: Option<User>,
    pub(crate) entries: Vec<Entry>,
}

/// All users of the data set, by id; entries of items that are not in it are left out.
pub(crate) fn read(
    folder: &DatasetFolder,
    items: &HashMap<String, usize>,
    lengths: HistoryLengths,
) -> Result<Vec<UserHistory>> {
    let mut users: BTreeMap<String, (Option<User>, Vec<Entry>)> = BTreeMap::new();
    for batch in folder.users()? {
        for user in batch? {
            users.insert(user.user_id.as_str().to_owned(), (Some(user), Vec::new()));
        }
    }
    for batch in folder.interactions_without_requests()? {
        for row in batch? {
            let Some(item) = items.get(row.item_id.as_str()).copied() else { continue };
            let entry = Entry { item, timestamp: row.timestamp, clicked: row.clicked };
            users.entry(row.user_id.as_str().to_owned()).or_default().1.push(entry);
        }
    }
    let mut ids: Vec<(usize, ItemId)> =
        items.iter().map(|(id, row)| (*row, ItemId::from(id.as_str()))).collect();
    ids.sort();
    let ids: Vec<ItemId> = ids.into_iter().map(|(_, id)| id).collect();
    let user = |(id, (profile, entries))| UserHistory {
        id,
        profile,
        entries: latest(entries, lengths, &ids),
    };
    Ok(users.into_iter().map(user).collect())
}

/// The latest clicked and the latest other entries, newest first; among equal times the greater id
/// (in the order of [`ItemId`]) comes first. `ids` are those of all items, by row.
fn latest(mut entries: Vec<Entry>, lengths: HistoryLengths, ids: &[ItemId]) -> Vec<Entry> {
    entries.sort_by(|a, b| {
        b.timestamp.cmp(&a.timestamp).then_with(|| ids.get(b.item).cmp(&ids.get(a.item)))
    });
    let (mut clicks, mut others) = (lengths.clicks, lengths.impressions);
    entries.retain(|entry| {
        let left = if entry.clicked { &mut clicks } else { &mut others };
        let keep = *left > 0;
        *left = left.saturating_sub(1);
        keep
    });
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_each_kind_are_kept_newest_first() {
        let entry = |item, timestamp, clicked| Entry { item, timestamp, clicked };
        let ids = ["b", "a", "aa"].map(ItemId::from);
        let entries = vec![
            entry(0, 1, false),
            entry(1, 5, true),
            entry(0, 5, false),
            entry(2, 5, false),
            entry(0, 7, true),
            entry(1, 9, true),
        ];
        let kept = latest(entries, HistoryLengths { clicks: 2, impressions: 2 }, &ids);
        assert_eq!(
            kept,
            [entry(1, 9, true), entry(0, 7, true), entry(2, 5, false), entry(0, 5, false)]
        );
    }
}
