//! The embedded store's file: open errors, damage, locks, permissions, crashes, a full disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod child;
mod compaction;
mod crash;
mod full;
mod migrate;
mod opening;

use std::path::Path;

use plugrank_store::StoreError;
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};

fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(path, EmbeddedOptions::default())
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("runtime").block_on(test)
}

/// An item of about `bytes`.
fn item(id: u32, bytes: usize) -> plugrank_store::NewItem {
    let item = plugrank_contract::Item {
        item_id: id.to_string().into(),
        title: format!("Title {id}"),
        text: "x".repeat(bytes),
        categories: vec!["c".into()],
        created_at: None,
        available: true,
        image_hash: None,
        features: Default::default(),
    };
    plugrank_store::NewItem { item, image: None }
}

fn click(id: u32) -> plugrank_contract::Event {
    plugrank_contract::Event {
        event_id: id.to_string(),
        event_type: plugrank_contract::EventType::click(),
        user_id: "u".into(),
        item_id: "i".into(),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp: id.into(),
    }
}
