//! Items, users and events to test with.

use std::collections::BTreeMap;

use crate::NewItem;
use plugrank_contract::{
    Event, EventType, FeatureValue, HistoryEntry, Item, ItemId, TimestampMs, User, UserId,
};

pub fn item(id: &str) -> Item {
    Item {
        item_id: id.into(),
        title: format!("Title of {id}"),
        text: "Straße, 東京, \u{0}, 🦀".into(),
        categories: vec!["main".into(), "second".into()],
        created_at: Some(-1),
        available: true,
        image_hash: None,
        features: BTreeMap::from([
            ("brand".into(), format!("brand {id}").into()),
            ("price".into(), 12.into()),
            ("tags".into(), FeatureValue::Texts(["new".into(), "blue".into()].into())),
        ]),
    }
}

pub fn new_item(id: &str) -> NewItem {
    NewItem { item: item(id), image: None }
}

pub fn user(id: &str) -> User {
    User { user_id: id.into(), features: BTreeMap::from([("age".into(), "25".into())]) }
}

/// An event of user `u` and item `i` at time 100; change what matters.
pub fn event(id: &str, event_type: EventType) -> Event {
    Event {
        event_id: id.into(),
        event_type,
        user_id: "u".into(),
        item_id: "i".into(),
        value: None,
        request_id: Some("r".into()),
        position: Some(3),
        surface: None,
        timestamp: 100,
    }
}

pub fn entry(id: &str, clicked: bool, timestamp: TimestampMs) -> HistoryEntry {
    HistoryEntry::new(id.into(), clicked, timestamp)
}

pub fn by(user: &str, entry: HistoryEntry) -> (UserId, HistoryEntry) {
    (user.into(), entry)
}

pub fn ids(ids: &[&str]) -> Vec<ItemId> {
    ids.iter().map(|id| ItemId::from(*id)).collect()
}
