//! Rows per second through scoring with the encoders beside it, against the graph alone, and what
//! a fetch from memory costs.
//!
//! `cargo bench -p plugrank-scoring --bench throughput -- BUNDLE [SECONDS] [WORKERS]`

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::{
    Context, Deadline, HistoryEntry, Item, ItemId, ItemList, UserId, UserRead,
    embedding::Tiers,
    scoring::{ModelKind, Score},
};
use plugrank_encoding::{Embeddings, Encoding, EncodingOptions, EncodingParts, UnifiedAsk};
use plugrank_inference::{
    Library, SessionOptions,
    batcher::{BatchModel, BatchObserver, BatchReport, GraphModel, Shape},
};
use plugrank_items::{FeatureColumn, ItemTable};
use plugrank_scoring::{ScoringOptions, ScoringParts, ScoringService};
use plugrank_store::{NewItem, Store};
use plugrank_store_embedded::{EmbeddedOptions, EmbeddedStore};
use plugrank_transport::Service;

const ITEMS: usize = 2_000;
const USERS: usize = 64;
const NOW: i64 = 2_000_000_000_000;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Totals {
    batches: AtomicU64,
    entries: AtomicU64,
    rows: AtomicU64,
    padded: AtomicU64,
    reasons: Mutex<BTreeMap<&'static str, u64>>,
}

impl BatchObserver for Totals {
    fn batch(&self, report: &BatchReport) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.entries.fetch_add(report.entries as u64, Ordering::Relaxed);
        self.rows.fetch_add(report.rows as u64, Ordering::Relaxed);
        self.padded.fetch_add(report.padded_rows as u64, Ordering::Relaxed);
        if let Ok(mut reasons) = self.reasons.lock() {
            *reasons.entry(report.reason.name()).or_default() += 1;
        }
    }
    fn left(&self, _: usize, _: usize) {}
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    // `cargo bench` adds an argument of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().ok_or("name a bundle folder")?;
    let seconds: f64 = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let workers: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let library = Library::load(None)?;
    let bundle = Arc::new(Bundle::open(Path::new(&folder))?);
    println!("bundle {}, record of {} bytes", bundle.version(), bundle.record().bytes());
    raw(&library, &bundle, time)?;

    let place = tempfile::tempdir()?;
    let store = store(&place.path().join("store.redb"), &bundle).await?;
    let here = encoding(&library, &bundle, &store).await?;
    let begun = Instant::now();
    let encoded = here.encode_catalog(&mut |_| {}).await?;
    let took = begun.elapsed().as_secs_f64();
    println!("catalog: {} items encoded, {:.0} a second", encoded.encoded, ITEMS as f64 / took);
    let scoring = |encoding: &Arc<Encoding>| ScoringParts {
        library: library.clone(),
        bundle: Arc::clone(&bundle),
        embeddings: Embeddings::Here(Arc::clone(encoding)),
        store: Arc::clone(&store),
        items: Arc::clone(encoding.items()),
        features: Arc::clone(encoding.features()),
        options: ScoringOptions { workers, run_in_place_us: 0, ..ScoringOptions::default() },
        max_candidates: 100_000,
        formulas: Vec::new(),
        observer: None,
        remote: None,
    };
    let another = encoding(&library, &bundle, &store).await?;
    difference(scoring(&here), scoring(&another)).await?;
    fetches(&here, &store, time).await?;
    for candidates in [20, 50, 200, 500] {
        for callers in [1, 16, 64] {
            service(scoring(&here), candidates, callers, time).await?;
        }
    }
    Ok(())
}

/// The encoders of a process, over an item table of its own.
async fn encoding(
    library: &Library,
    bundle: &Arc<Bundle>,
    store: &Arc<dyn Store>,
) -> Result<Arc<Encoding>, AnyError> {
    let items = ItemTable::new();
    let features = FeatureColumn::new(Arc::new(bundle.feature_encoder()?));
    items.attach(Arc::clone(&features));
    items.load(store.as_ref(), &|_| {}).await?;
    let parts = EncodingParts {
        library: library.clone(),
        bundle: Arc::clone(bundle),
        store: Arc::clone(store),
        items,
        features,
        session: SessionOptions::default(),
        options: EncodingOptions::default(),
        observer: None,
    };
    let encoding = Encoding::new(parts, &mut |_, _| {})?;
    encoding.warm_up().await?;
    Ok(Arc::new(encoding))
}

/// What a request asks, its items resolved as the stage before scoring has them.
fn score(table: &Arc<ItemTable>, user: usize, candidates: usize, seed: usize) -> Score {
    Score {
        user_id: UserId::from(format!("u{user}")),
        items: items(table, candidates, seed),
        user: UserRead::NotRead,
        as_of: NOW,
        model: ModelKind::Unified,
        tiers: Tiers::All,
        facts_for: 0,
        rule_inputs: Arc::default(),
        given: None,
        value: None,
        explain: false,
    }
}

/// How much scores differ between requests that ran alone and the same ones run together, user
/// states included.
async fn difference(alone: ScoringParts, together: ScoringParts) -> Result<(), AnyError> {
    let table = Arc::clone(&alone.items);
    let call = |user: usize| score(&table, user, 20 + user, user);
    let alone = ScoringService::new(alone, &mut |_, _, _| {})?;
    let mut expected = Vec::new();
    for user in 0..USERS {
        expected.push(alone.call(Context::background(), call(user)).await?.ctr);
    }
    let together = ScoringService::new(together, &mut |_, _, _| {})?;
    let calls = (0..USERS).map(|user| together.call(Context::background(), call(user)));
    let (mut largest, mut batch_rows) = (0.0f32, 0);
    for (answer, expected) in futures::future::join_all(calls).await.into_iter().zip(expected) {
        let answer = answer?;
        batch_rows = batch_rows.max(answer.batch_rows);
        for (one, other) in answer.ctr.iter().zip(&*expected) {
            largest = largest.max((one - other).abs());
        }
    }
    println!(
        "alone and together (up to {batch_rows} rows a batch): ctr differ by {largest:.1e} at most"
    );
    Ok(())
}

/// The unified graph alone, on zeros, one thread.
fn raw(library: &Library, bundle: &Bundle, time: Duration) -> Result<(), AnyError> {
    let options = SessionOptions::default();
    let mut model = GraphModel::load(library, bundle, GraphName::Unified, options)?;
    let lengths = bundle.manifest().history;
    let history = lengths.clicks + lengths.impressions;
    for (users, candidates) in
        [(1, 32), (8, 32), (1, 64), (8, 64), (1, 256), (8, 256), (1, 512), (4, 512)]
    {
        let shape = Shape { users, candidates, history };
        model.warm(shape)?;
        let (begun, mut runs) = (Instant::now(), 0);
        while begun.elapsed() < time / 3 {
            model.warm(shape)?;
            runs += 1;
        }
        let took = begun.elapsed().as_secs_f64();
        let rows = (users * candidates * runs) as f64 / took;
        println!(
            "graph alone, {shape}: {rows:.0} rows/s, {:.3} ms a run",
            took * 1e3 / f64::from(runs as u32)
        );
    }
    Ok(())
}

async fn store(path: &Path, bundle: &Bundle) -> Result<Arc<dyn Store>, AnyError> {
    let store = EmbeddedStore::open(path, EmbeddedOptions::default())?;
    let item = |number: usize| Item {
        item_id: ItemId::from(format!("i{number}")),
        title: format!("item number {number}"),
        text: "plain and useful".to_owned(),
        categories: Vec::new(),
        created_at: None,
        available: true,
        image_hash: None,
        features: BTreeMap::new(),
    };
    let items = (0..ITEMS).map(|number| NewItem { item: item(number), image: None });
    store.put_items(items.collect()).await?;
    let lengths = bundle.manifest().history;
    let mut history = Vec::new();
    for user in 0..USERS {
        for at in 0..lengths.clicks + lengths.impressions {
            let item = ItemId::from(format!("i{}", (user * 31 + at * 7) % ITEMS));
            let clicked = at < lengths.clicks;
            let entry = HistoryEntry::new(item, clicked, NOW - 1_000 * (at as i64 + 1));
            history.push((UserId::from(format!("u{user}")), entry));
        }
    }
    store.put_history(history).await?;
    Ok(Arc::new(store))
}

fn items(table: &Arc<ItemTable>, candidates: usize, seed: usize) -> ItemList {
    let id = |at| ItemId::from(format!("i{}", (seed * 97 + at * 3) % ITEMS));
    (0..candidates).map(id).collect::<ItemList>().resolve(table)
}

async fn fetches(
    encoding: &Arc<Encoding>,
    store: &Arc<dyn Store>,
    time: Duration,
) -> Result<(), AnyError> {
    let user_id = UserId::from("u1");
    let view = store.user_view(&user_id, NOW, encoding.users().limits()).await?;
    let embeddings = Embeddings::Here(Arc::clone(encoding));
    let (items, context) = (items(encoding.items(), 500, 1), Context::background());
    for (what, user) in [
        ("the user read before", UserRead::Read(view)),
        ("the user read from the store", UserRead::NotRead),
    ] {
        let ask = UnifiedAsk {
            items: &items,
            user_id: &user_id,
            user: &user,
            as_of: NOW,
            tiers: Tiers::All,
            context: &context,
            deadline: Deadline::NONE,
        };
        embeddings.fetch(ask).await?;
        let (begun, mut runs) = (Instant::now(), 0);
        while begun.elapsed() < time {
            embeddings.fetch(ask).await?;
            runs += 1;
        }
        let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(runs);
        println!("fetch of 500 and a cached user state from memory, {what}: {each:.0} us");
    }
    Ok(())
}

async fn service(
    parts: ScoringParts,
    candidates: usize,
    callers: usize,
    time: Duration,
) -> Result<(), AnyError> {
    let totals = Arc::new(Totals::default());
    let table = Arc::clone(&parts.items);
    let parts = ScoringParts { observer: Some(totals.clone()), ..parts };
    let scoring = Arc::new(ScoringService::new(parts, &mut |_, _, _| {})?);
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (scoring, stop) = (Arc::clone(&scoring), Arc::clone(&stop));
            let table = Arc::clone(&table);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let seed = caller + latencies.len();
                    let call = score(&table, seed % USERS, candidates, seed);
                    let begun = Instant::now();
                    scoring.call(Context::background(), call).await?;
                    latencies.push(begun.elapsed());
                }
                Ok::<_, plugrank_contract::CallError>(latencies)
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let took = begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let reasons = totals.reasons.lock().map(|reasons| format!("{reasons:?}")).unwrap_or_default();
    println!(
        "service, {candidates} candidates, {callers} callers: {:.0} rows/s, p50 {:.2} ms, p99 {:.2} ms, \
         {:.1} requests a batch, {:.0}% padding, {reasons}",
        (latencies.len() * candidates) as f64 / took,
        at(0.5).as_secs_f64() * 1e3,
        at(0.99).as_secs_f64() * 1e3,
        of(&totals.entries) / of(&totals.batches),
        100.0 * (1.0 - of(&totals.rows) / of(&totals.padded)),
    );
    Ok(())
}
