//! Measures a store: `cargo bench -p plugrank-store --bench store -- [redis://host:port]`, embedded
//! without an argument, a cluster with several addresses with commas between.
//!
//! Writes 100,000 items, 1,000,000 rows of history and some thousand events, and prints how long
//! writes and reads take and, of one Redis server that does nothing else, what they take of its
//! memory. The embedded store's file is a temporary one; in Redis it uses a namespace of its own,
//! which it leaves behind.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use plugrank_contract::{
    Event, EventType, HistoryEntry, HistoryLimits, Item, ItemId, User, UserId,
};
use plugrank_store::{ItemStats, NewItem, Store, StoreError, VectorSpace};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_store_redis::{RedisOptions, RedisServers, RedisStore};

const ITEMS: u64 = 100_000;
const USERS: u64 = 10_000;
const ROWS: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    // `cargo bench` adds an argument of its own.
    let url = std::env::args().skip(1).find(|argument| argument != "--bench");
    let memory = Memory::in_use(url.as_deref());
    let store: Arc<dyn Store> = match url {
        Some(url) => {
            let namespace = format!("store_bench_{}", std::process::id());
            let options = RedisOptions { namespace, ..Default::default() };
            Arc::new(RedisStore::connect(&servers(&url), options).await?)
        }
        None => {
            let path = dir.path().join("store.redb");
            Arc::new(EmbeddedStore::open(&path, EmbeddedOptions::default())?)
        }
    };
    writes(&store, memory).await?;
    reads(&store).await?;
    events(&store).await?;
    if let Ok(file) = dir.path().join("store.redb").metadata() {
        println!("file: {} MiB", file.len() >> 20);
    }
    Ok(())
}

fn panicked(error: tokio::task::JoinError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// What a server's memory grows by.
struct Memory {
    address: Option<String>,
    last: u64,
}

impl Memory {
    fn in_use(url: Option<&str>) -> Self {
        let address = url.and_then(|url| url.strip_prefix("redis://")).map(str::to_owned);
        let mut memory = Self { address, last: 0 };
        memory.last = memory.used().unwrap_or(0);
        memory
    }

    /// Prints what one of `count` things takes that were written since.
    fn grown(&mut self, name: &str, count: u64) {
        let Some(used) = self.used() else { return };
        let each = used.saturating_sub(self.last) as f64 / count as f64;
        println!("memory: {name}: {each:.0} bytes");
        self.last = used;
    }

    /// `used_memory` of one server.
    fn used(&self) -> Option<u64> {
        let mut socket = std::net::TcpStream::connect(self.address.as_ref()?).ok()?;
        socket.write_all(b"INFO memory\r\n").ok()?;
        let mut reply = [0; 512];
        let length = socket.read(&mut reply).ok()?;
        let text = String::from_utf8_lossy(&reply[..length]).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("used_memory:"))?;
        line.trim().parse().ok()
    }
}

fn servers(urls: &str) -> RedisServers {
    match urls.contains(',') {
        true => RedisServers::Cluster(urls.split(',').map(str::to_owned).collect()),
        false => RedisServers::single(urls),
    }
}

async fn writes(store: &Arc<dyn Store>, mut memory: Memory) -> Result<(), StoreError> {
    let batches: Vec<Vec<NewItem>> = (0..50)
        .map(|batch| (0..ITEMS / 50).map(|n| item(batch * ITEMS / 50 + n)).collect())
        .collect();
    let start = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for batch in batches {
        let store = Arc::clone(store);
        calls.spawn(async move { store.put_items(batch).await });
        if calls.len() == 8 {
            calls.join_next().await.transpose().map_err(panicked)?.transpose()?;
        }
    }
    while let Some(call) = calls.join_next().await {
        call.map_err(panicked)??;
    }
    rate("put_items, 2,000 a call, 8 at a time", ITEMS, start.elapsed());
    memory.grown("an item without image", ITEMS);

    // As a data set has it: in the order of time, users and items at random.
    let row = |n: u64| {
        let (clicked, at) = (mix(n + 1).is_multiple_of(5), 1_700_000_000_000);
        let item = item_id(mix(n) % ITEMS);
        let entry = HistoryEntry::new(item, clicked, at + n.cast_signed() * 1000);
        (user_id(mix(n + 2) % USERS), entry)
    };
    let batches: Vec<Vec<(UserId, HistoryEntry)>> = (0..20)
        .map(|batch| (batch * ROWS / 20..(batch + 1) * ROWS / 20).map(row).collect())
        .collect();
    let start = Instant::now();
    for batch in &batches {
        store.put_history(batch.clone()).await?;
    }
    rate("put_history, 50,000 a call", ROWS, start.elapsed());
    memory.grown("an entry of a history", ROWS);
    let start = Instant::now();
    for batch in batches {
        store.put_history(batch).await?;
    }
    rate("put_history again", ROWS, start.elapsed());

    memory.grown("writing them again", ROWS);
    let profiles = (0..USERS).map(|n| User {
        user_id: user_id(n),
        features: BTreeMap::from([("age".into(), "25-34".into()), ("region".into(), "n".into())]),
    });
    store.put_users(profiles.collect()).await?;
    memory.grown("a user's profile", USERS);

    let stats = (0..ITEMS).map(|n| {
        (item_id(n), ItemStats { impressions: n, clicks: n / 20, ..ItemStats::default() })
    });
    let stats: Vec<_> = stats.collect();
    let start = Instant::now();
    store.put_item_stats(stats).await?;
    rate("put_item_stats, all in one call", ITEMS, start.elapsed());
    memory.grown("an item's statistics", ITEMS);
    let near = |n: u64| (1..=50).map(|m| (item_id(mix(n + m) % ITEMS), 0.5)).collect();
    let neighbours: Vec<_> = (0..ITEMS / 10).map(|n| (item_id(n), near(n))).collect();
    store.put_neighbours(neighbours).await?;
    memory.grown("50 neighbours of an item", ITEMS / 10);

    let space = VectorSpace::Record("1".into());
    let start = Instant::now();
    for batch in 0..100 {
        let entries =
            (0..1000_u64).map(|n| ((batch * 1000 + n).to_be_bytes().to_vec(), vec![7; 256]));
        store.put_vectors(&space, entries.collect()).await?;
    }
    rate("put_vectors of 256 bytes, 1,000 a call", 100_000, start.elapsed());
    memory.grown("a vector of 256 bytes", 100_000);
    let batch = (0..100_000_u64).map(|n| Event { user_id: user_id(n % USERS), ..event(n << 32) });
    for events in batch.collect::<Vec<_>>().chunks(2000) {
        store.append_events(events.to_vec()).await?;
    }
    memory.grown("an event", 100_000);
    Ok(())
}

async fn reads(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    for wanted in [50, 1000] {
        let name = format!("history of {wanted} + {wanted}");
        let mut times = Vec::new();
        let mut found = 0;
        for n in 0..5000 {
            let user = user_id(mix(n) % USERS);
            let start = Instant::now();
            found += store.history(&user, i64::MAX, wanted, wanted).await?.entries.len();
            times.push(start.elapsed());
        }
        latency(&format!("{name} ({} on average)", found / times.len()), &mut times);
    }
    // Embedded, the first round reads the file, the second memory.
    let limits = HistoryLimits { clicks: 50, impressions: 50 };
    for round in ["first", "repeated"] {
        let mut times = Vec::new();
        for n in 0..5000 {
            let user = user_id(n);
            let start = Instant::now();
            assert!(store.user_view(&user, i64::MAX, limits).await?.profile.is_some());
            times.push(start.elapsed());
        }
        latency(&format!("user_view of 50 + 50, {round}"), &mut times);
    }
    let mut times = Vec::new();
    for _ in 0..5000 {
        let start = Instant::now();
        tokio::task::spawn_blocking(|| ()).await.map_err(|error| {
            StoreError::Unavailable(format!("no thread for blocking work: {error}"))
        })?;
        times.push(start.elapsed());
    }
    latency("for comparison, an empty spawn_blocking", &mut times);
    let mut times = Vec::new();
    for n in 0..ITEMS / 500 {
        let ids: Vec<ItemId> = (0..500).map(|m| item_id(n * 500 + m)).collect();
        let start = Instant::now();
        assert!(store.items(&ids).await?.iter().all(Option::is_some));
        times.push(start.elapsed());
    }
    latency("items, 500 a call", &mut times);
    let mut times = Vec::new();
    for n in 0..500 {
        let ids: Vec<ItemId> = (0..500).map(|m| item_id(mix(n * 500 + m) % ITEMS)).collect();
        let start = Instant::now();
        store.item_stats(&ids).await?;
        times.push(start.elapsed());
    }
    latency("item_stats, 500 a call", &mut times);
    let space = VectorSpace::Record("1".into());
    let mut times = Vec::new();
    for n in 0..500 {
        let keys: Vec<Vec<u8>> =
            (0..500).map(|m| (mix(n * 500 + m) % 100_000).to_be_bytes().to_vec()).collect();
        let start = Instant::now();
        assert!(store.vectors(&space, &keys).await?.iter().all(Option::is_some));
        times.push(start.elapsed());
    }
    latency("vectors, 500 a call", &mut times);
    let start = Instant::now();
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = store.scan_items(after.as_ref(), 5000).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.item.item_id.clone());
        seen += page.len() as u64;
    }
    rate("scan_items", seen, start.elapsed());
    Ok(())
}

async fn events(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let mut times = Vec::new();
    for n in 0..300 {
        let start = Instant::now();
        store.append_events(vec![event(n)]).await?;
        times.push(start.elapsed());
    }
    latency("append_events, one at a time", &mut times);

    for callers in [16_u64, 64, 256] {
        let each = 6400 / callers;
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    for n in 0..each {
                        let id = 1_000_000 * callers + caller * 10_000 + n;
                        let start = Instant::now();
                        store.append_events(vec![event(id)]).await?;
                        times.push(start.elapsed());
                    }
                    Ok::<_, StoreError>(times)
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            if let Ok(outcome) = task.await {
                times.extend(outcome?);
            }
        }
        rate(&format!("append_events, {callers} callers"), callers * each, start.elapsed());
        latency(&format!("append_events, {callers} callers"), &mut times);
    }

    let mut batches: Vec<Vec<Event>> =
        (0..10).map(|batch| (0..1000).map(|n| event(1 << (40 + batch) | n)).collect()).collect();
    let start = Instant::now();
    for batch in batches.drain(..) {
        store.append_events(batch).await?;
    }
    rate("append_events, 1,000 a call", 10_000, start.elapsed());
    Ok(())
}

fn item(n: u64) -> NewItem {
    let item = Item {
        item_id: item_id(n),
        title: format!("An item with the number {n}"),
        text: "Some words that describe it, about as many as a shop has. ".repeat(5),
        categories: vec![format!("category {}", n % 40), "all".into()],
        created_at: Some(n.cast_signed()),
        available: true,
        image_hash: None,
        features: BTreeMap::from([("brand".into(), format!("brand {}", n % 500).into())]),
    };
    NewItem { item, image: None }
}

fn event(n: u64) -> Event {
    Event {
        event_id: format!("event-{n}"),
        event_type: if n.is_multiple_of(5) { EventType::click() } else { EventType::impression() },
        user_id: user_id(mix(n) % USERS),
        item_id: item_id(mix(n + 1) % ITEMS),
        value: None,
        request_id: Some(format!("request-{}", n / 20)),
        position: None,
        surface: None,
        timestamp: 1_800_000_000_000 + n.cast_signed(),
    }
}

fn item_id(n: u64) -> ItemId {
    format!("i{n}").into()
}

fn user_id(n: u64) -> UserId {
    format!("u{n}").into()
}

/// A number that looks random, the same each time (splitmix64).
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn rate(name: &str, count: u64, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{name}: {count} in {took:.2?}, {rate:.0}/s");
}

fn latency(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("{name}: p50 {:.1?}, p99 {:.1?}, max {:.1?}", at(50), at(99), at(100));
}
