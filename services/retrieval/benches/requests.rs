//! Measures retrieval as a whole over an embedded store: build, memory, time of a request.
//!
//! `cargo bench -p plugrank-retrieval --bench requests -- [ITEMS] [LIMIT] [FILE]`
//!
//! With FILE the store is kept there, and not filled again when it is there already: a second run
//! then shows memory that loading did not touch.

use std::{path::PathBuf, sync::Arc, time::Instant};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, Dtype, Event, EventType, Item, ItemId, ItemList, Matrix,
    embedding::{FetchVectors, FetchedVectors, RecordOrigin},
    retrieval::{ObserveEvents, Retrieve},
};
use plugrank_items::ItemTable;
use plugrank_retrieval::{
    LoadTable, RetrievalOptions, RetrievalParts, RetrievalService, load_table,
};
use plugrank_store::{ItemStats, NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_transport::Service;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const DIM: usize = 32;
const USERS: usize = 200;
const CLICKS: usize = 50;

type Failure = Box<dyn std::error::Error>;

/// Vectors around a centre for each category, the same for an item whenever it is asked for.
struct Vectors;

fn vector(item: usize) -> Vec<f32> {
    let mut centre = ChaCha8Rng::seed_from_u64((item % 40) as u64);
    let mut noise = ChaCha8Rng::seed_from_u64(1_000 + item as u64);
    (0..DIM).map(|_| centre.random_range(-1.0f32..1.0) + noise.random_range(-0.5f32..0.5)).collect()
}

#[async_trait]
impl Service<FetchVectors> for Vectors {
    async fn call(&self, _: Context, call: FetchVectors) -> Result<FetchedVectors, CallError> {
        let number = |id: &ItemId| id.as_str()[1..].parse().unwrap_or(0usize);
        let data = call.item_ids.iter().flat_map(|id| vector(number(id)));
        let data = data.flat_map(f32::to_le_bytes).collect();
        let vectors = Matrix::new(call.item_ids.len(), DIM, Dtype::F32, data)
            .map_err(|error| CallError::internal(error.to_string()))?;
        let origins = vec![RecordOrigin::Memory; call.item_ids.len()];
        Ok(FetchedVectors { bundle: "bench".to_owned(), vectors, origins })
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    // `cargo bench` adds an argument of its own.
    let own = |argument: &String| argument != "--bench";
    let arguments: Vec<String> = std::env::args().skip(1).filter(own).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (items, limit) = (number(0, 100_000), number(1, 500));
    let folder = tempfile::tempdir()?;
    let file = arguments.get(2).map_or_else(|| folder.path().join("store.redb"), PathBuf::from);
    let filled = file.exists();
    let store = Arc::new(EmbeddedStore::open(&file, EmbeddedOptions::default())?);
    if !filled {
        load(&store, items).await?;
    }

    let before = resident_mib();
    let start = Instant::now();
    let (store, options): (Arc<dyn Store>, _) = (store, RetrievalOptions::default());
    let table = LoadTable {
        store: &store,
        items: &ItemTable::new(),
        features: Vec::new(),
        bundle: "bench",
        options: &options,
        engine: false,
    };
    let table = load_table(table, |_| {}).await?;
    let parts = RetrievalParts { store, table, vectors: Arc::new(Vectors), engine: None, options };
    let service = RetrievalService::build(parts, |_| {}).await?;
    let status = service.status();
    println!(
        "{} items: built in {:.1} s, {} in the index ({} MiB), {} MiB resident more than before",
        status.items,
        start.elapsed().as_secs_f64(),
        status.indexed,
        status.index_bytes >> 20,
        resident_mib().saturating_sub(before),
    );

    let named = (0..limit).map(|n| format!("i{}", n * 7 % items).into()).collect::<ItemList>();
    for (name, users, named) in [
        ("50 clicks", 0..USERS, None),
        ("nobody", USERS..2 * USERS, None),
        ("named by the caller", 0..USERS, Some(named)),
    ] {
        let mut candidates = 0;
        let mut times = Vec::new();
        for round in 0..6 {
            for user in users.clone() {
                let call = Retrieve { candidates: named.clone(), ..request(user, limit) };
                let start = Instant::now();
                let retrieved = service.call(Context::background(), call).await?;
                if round > 0 {
                    times.push(start.elapsed().as_secs_f64() * 1e6);
                }
                candidates = retrieved.candidates.len();
            }
        }
        times.sort_by(f64::total_cmp);
        println!(
            "{name}: {candidates} candidates in {:.0} µs at the median, {:.0} µs at the 99th",
            times[times.len() / 2],
            times[times.len() * 99 / 100],
        );
    }
    let start = Instant::now();
    let events = clicks(0, items);
    service.call(Context::background(), ObserveEvents { events }).await?;
    println!("{CLICKS} clicks observed in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn request(user: usize, limit: usize) -> Retrieve {
    Retrieve {
        user_id: format!("u{user}").into(),
        limit: limit as u32,
        candidates: None,
        exclude: ItemList::default(),
        shown: Arc::default(),
        context: ItemList::default(),
        recent: None,
        surface: Arc::default(),
        filters: Vec::new(),
        as_of: 2_000_000,
        explain: false,
    }
}

async fn load(store: &EmbeddedStore, items: usize) -> Result<(), Failure> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for start in (0..items).step_by(10_000) {
        let numbers = start..items.min(start + 10_000);
        let new = numbers.clone().map(|n| NewItem { item: item(n), image: None }).collect();
        store.put_items(new).await?;
        let mut stats = Vec::new();
        let mut neighbours = Vec::new();
        for n in numbers {
            let impressions = rng.random_range(0..2_000u64);
            let clicks = rng.random_range(0..=impressions / 4);
            let id: ItemId = format!("i{n}").into();
            stats.push((id.clone(), ItemStats { impressions, clicks, ..ItemStats::default() }));
            let mut other = || format!("i{}", rng.random_range(0..items)).into();
            neighbours.push((id, (0..20).map(|rank| (other(), 1.0 / (1 + rank) as f32)).collect()));
        }
        store.put_item_stats(stats).await?;
        store.put_neighbours(neighbours).await?;
    }
    for user in 0..USERS {
        store.append_events(clicks(user, items)).await?;
    }
    Ok(())
}

fn item(n: usize) -> Item {
    Item {
        item_id: format!("i{n}").into(),
        title: format!("Item {n}"),
        text: "A text of some length, as shops have them.".to_owned(),
        categories: vec![format!("c{}", n % 40), format!("d{}", n % 7)],
        created_at: Some((n % 1_000_000) as i64),
        available: true,
        image_hash: None,
        features: Default::default(),
    }
}

fn clicks(user: usize, items: usize) -> Vec<Event> {
    (0..CLICKS)
        .map(|n| Event {
            event_id: format!("{user}-{n}"),
            event_type: EventType::click(),
            user_id: format!("u{user}").into(),
            item_id: format!("i{}", (user * 977 + n * 40) % items).into(),
            value: None,
            request_id: None,
            position: None,
            surface: None,
            timestamp: 1_000_000 + n as i64,
        })
        .collect()
}

/// Resident memory of this process, where the system tells it.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse().ok());
    kib.unwrap_or(0usize) >> 10
}
