//! Time until retrieval is ready, read anew and from a snapshot.
//!
//! `redis-server --port 7777 --save '' &`, then
//! `cargo bench -p plugrank-retrieval --bench snapshots -- redis://127.0.0.1:7777 [ITEMS] [DIM]`
//! (100000 and 32). It writes into a namespace of its own. Vectors are made up in this
//! process: real ones have to be fetched from the embedding service on top, when all is read anew.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a program")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, Dtype, Item, Matrix,
    embedding::{FetchVectors, FetchedVectors, RecordOrigin},
};
use plugrank_items::ItemTable;
use plugrank_retrieval::{
    LoadTable, RetrievalOptions, RetrievalParts, RetrievalService, load_table,
};
use plugrank_store::{NewItem, Store};
use plugrank_store_redis::{RedisConnection, RedisOptions, RedisStore};
use plugrank_transport::Service;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Vectors(usize);

#[async_trait]
impl Service<FetchVectors> for Vectors {
    async fn call(&self, _: Context, call: FetchVectors) -> Result<FetchedVectors, CallError> {
        let mut data = Vec::with_capacity(call.item_ids.len() * self.0 * 4);
        for id in &call.item_ids {
            let number: u64 = id.as_str()[1..].parse().unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(number);
            (0..self.0).for_each(|_| data.extend(rng.random_range(-1.0f32..1.0).to_le_bytes()));
        }
        let vectors = Matrix::new(call.item_ids.len(), self.0, Dtype::F32, data).unwrap();
        let origins = vec![RecordOrigin::Store; call.item_ids.len()];
        Ok(FetchedVectors { bundle: "bench".to_owned(), vectors, origins })
    }
}

fn item(number: u64) -> NewItem {
    let item = Item {
        item_id: format!("i{number}").into(),
        title: format!("Item {number}"),
        text: "x".repeat(300),
        categories: vec![format!("category {}", number % 50)],
        created_at: Some(number as i64),
        available: true,
        image_hash: None,
        features: Default::default(),
    };
    NewItem { item, image: None }
}

async fn store(url: &str, items: u64) -> Arc<dyn Store> {
    let namespace = format!("snapshot-bench-{items}");
    let servers = RedisConnection { timeout_ms: 10_000, ..RedisConnection::single(url) };
    let options = RedisOptions { namespace, ..RedisOptions::default() };
    Arc::new(RedisStore::connect(&servers, options).await.unwrap())
}

async fn build(store: &Arc<dyn Store>, dim: usize, folder: &Path) -> (RetrievalService, f64) {
    let mut options = RetrievalOptions::default();
    options.snapshot.path = Some(folder.to_owned());
    let begun = Instant::now();
    let table = LoadTable {
        store,
        items: &ItemTable::new(),
        features: Vec::new(),
        bundle: "bench",
        options: &options,
        engine: false,
    };
    let table = load_table(table, |_| {}).await.unwrap();
    let (store, vectors) = (Arc::clone(store), Arc::new(Vectors(dim)));
    let parts = RetrievalParts { store, table, vectors, engine: None, options };
    let service = RetrievalService::build(parts, |_| {}).await.unwrap();
    (service, begun.elapsed().as_secs_f64())
}

#[tokio::main]
async fn main() {
    // `cargo bench` adds an argument of its own.
    let mut args = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let url = args.next().expect("the address of a Redis server");
    let items: u64 = args.next().map_or(100_000, |items| items.parse().unwrap());
    let dim: usize = args.next().map_or(32, |dim| dim.parse().unwrap());
    let writer = store(&url, items).await;
    let begun = Instant::now();
    for first in (0..items).step_by(5_000) {
        writer.put_items((first..items.min(first + 5_000)).map(item).collect()).await.unwrap();
    }
    println!("{items} items written in {:.1} s", begun.elapsed().as_secs_f64());

    let folder = tempfile::tempdir().unwrap();
    let (service, seconds) = build(&store(&url, items).await, dim, folder.path()).await;
    println!("ready in {seconds:.2} s, all read anew: {:?}", service.status().restored);
    let begun = Instant::now();
    while service.status().snapshots.saved == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let status = service.status();
    let mb = status.snapshots.bytes >> 20;
    println!("a snapshot of {mb} MiB within {:.2} s", begun.elapsed().as_secs_f64());
    drop(service);
    for changed in [0, 1_000] {
        writer.put_items((0..changed).map(|n| item(items + n)).collect()).await.unwrap();
        let (service, seconds) = build(&store(&url, items).await, dim, folder.path()).await;
        let status = service.status();
        println!(
            "ready in {seconds:.2} s from {:?}, {changed} items behind: {} indexed",
            status.restored.unwrap(),
            status.indexed
        );
    }
}
