//! The graph alone: sessions of one thread, each in a thread of its own, on inputs that lie ready.

use std::{
    path::PathBuf,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use plugrank_inference::Library;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    measured::{Measured, Outcome},
    process,
    scorer::Scorer,
    tables::Tables,
};

/// Inputs that each thread goes round.
const PREPARED: usize = 16;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File written by `prepare`.
    #[arg(long)]
    tables: PathBuf,
    /// The ONNX Runtime library.
    #[arg(long)]
    library: PathBuf,
    /// Candidates a run.
    #[arg(long)]
    candidates: usize,
    /// Sessions, and threads.
    #[arg(long)]
    sessions: usize,
    /// Seconds measured.
    #[arg(long)]
    seconds: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let library = Library::load(Some(&args.library))?;
    let tables = Tables::open(&args.tables)?;
    let start = Barrier::new(args.sessions + 1);
    let time = Duration::from_secs_f64(args.seconds);
    let measured = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.sessions)
            .map(|seed| {
                let (library, tables, start) = (&library, &tables, &start);
                let candidates = args.candidates;
                scope.spawn(move || {
                    let prepared = Prepared::make(library, tables, candidates, seed as u64);
                    // The others must not wait for ever for one that failed.
                    start.wait();
                    prepared.and_then(|prepared| prepared.run(tables, time))
                })
            })
            .collect();
        start.wait();
        let before = process::own_cpu_seconds();
        let mut outcomes = Vec::new();
        for thread in threads {
            outcomes.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
        }
        let cpu_s = process::own_cpu_seconds() - before;
        Ok::<_, anyhow::Error>(Measured::from_outcomes(
            &outcomes,
            Duration::MAX,
            args.seconds,
            cpu_s,
            0.0,
        ))
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// A session, and inputs for it.
struct Prepared {
    scorer: Scorer,
    inputs: Vec<(u32, Vec<plugrank_inference::Tensor>)>,
}

impl Prepared {
    fn make(library: &Library, tables: &Tables, candidates: usize, seed: u64) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut scorer = Scorer::load(library, tables)?;
        let mut inputs = Vec::with_capacity(PREPARED);
        let (users, items) = (tables.about.users.len(), tables.about.items.len());
        for _ in 0..PREPARED {
            let rows: Vec<u32> =
                (0..candidates).map(|_| below(&mut random, items)).collect::<Result<_>>()?;
            scorer.gather(tables, &rows);
            let user = below(&mut random, users)?;
            inputs.push((user, scorer.blocks()));
            scorer.run(tables, user)?;
        }
        Ok(Self { scorer, inputs })
    }

    fn run(mut self, tables: &Tables, time: Duration) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        let begun = Instant::now();
        for at in (0..PREPARED).cycle() {
            let (user, blocks) = &mut self.inputs[at];
            self.scorer.swap(blocks);
            let started = Instant::now();
            self.scorer.run(tables, *user)?;
            outcomes.push(Outcome::Whole(started.elapsed().as_nanos() as u64));
            self.scorer.swap(blocks);
            if begun.elapsed() >= time {
                break;
            }
        }
        Ok(outcomes)
    }
}

fn below(random: &mut impl Rng, count: usize) -> Result<u32> {
    let count = u32::try_from(count).ok().filter(|count| *count > 0);
    Ok(random.random_range(0..count.context("the data set has no items or no users")?))
}
