//! Load on a server: closed (each connection sends when it was answered) or open (requests are sent
//! when they are due, whatever became of those before).

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use memchr::memmem;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp};

use crate::{
    client::{Connection, Reply},
    measured::{Measured, Outcome},
    process,
    requests::{self, K},
    tables::Tables,
};

/// Different requests that are sent in turn.
const DIFFERENT: usize = 512;
/// How long after the end of an open loop requests that are overdue are still sent.
const OVERTIME: Duration = Duration::from_secs(2);
/// Bytes of a thread's stack.
const STACK: usize = 128 << 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address of the server, on this machine.
    #[arg(long)]
    address: SocketAddr,
    /// File written by `prepare`: which items and users there are.
    #[arg(long)]
    tables: PathBuf,
    /// Candidates a request; 0: the server retrieves.
    #[arg(long)]
    candidates: usize,
    /// Connections.
    #[arg(long)]
    connections: usize,
    /// Requests a second, at random times (a Poisson process): an open loop. Latency counts from when
    /// a request was due.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds measured.
    #[arg(long)]
    seconds: f64,
    /// Seconds of the same load before that.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// The server's process, whose CPU time is measured.
    #[arg(long)]
    pid: u32,
}

/// When what is measured begins and ends.
struct Window {
    begin: Instant,
    end: Instant,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.address.ip().is_loopback(), "{} is another machine", args.address);
    let about = Tables::describe(&args.tables)?;
    let requests = requests::draw(&about, args.address, args.candidates, K, DIFFERENT, 7)?;
    let mut connections = Vec::with_capacity(args.connections);
    for request in requests.iter().cycle().take(args.connections) {
        let mut connection = Connection::open(args.address)?;
        // Answered before the next one is opened: of several processes that wait for connections, one
        // would take all those that come at once.
        connection.exchange(request)?;
        connections.push(connection);
    }
    let start = Instant::now();
    let begin = start + Duration::from_secs_f64(args.warm_up);
    let window = Window { begin, end: begin + Duration::from_secs_f64(args.seconds) };
    let due = args.rate.map(|rate| schedule(rate, start, window.end)).transpose()?;
    let next = AtomicUsize::new(0);
    let load = Load { address: args.address, requests, window, due, next };
    let measured = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(connections.len());
        for connection in connections {
            let load = &load;
            let builder = thread::Builder::new().stack_size(STACK);
            threads.push(builder.spawn_scoped(scope, move || load.send(connection))?);
        }
        let cpu = || (process::cpu_seconds(args.pid), process::own_cpu_seconds());
        sleep_until(load.window.begin);
        let before = cpu();
        sleep_until(load.window.end);
        let after = cpu();
        let mut outcomes = Vec::new();
        for thread in threads {
            outcomes.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        }
        outcomes.extend(std::iter::repeat_n(Outcome::Failed, load.not_sent()));
        let (server, client) = (after.0 - before.0, after.1 - before.1);
        Ok::<_, anyhow::Error>(Measured::of(&outcomes, args.seconds, server, client))
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// When each request of an open loop is due.
fn schedule(rate: f64, start: Instant, end: Instant) -> Result<Vec<Instant>> {
    let gaps = Exp::new(rate).map_err(|error| anyhow!("--rate {rate}: {error}"))?;
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut due, mut at) = (Vec::new(), start);
    loop {
        at += Duration::from_secs_f64(gaps.sample(&mut random));
        if at >= end {
            return Ok(due);
        }
        due.push(at);
    }
}

struct Load {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    window: Window,
    /// Of an open loop.
    due: Option<Vec<Instant>>,
    next: AtomicUsize,
}

impl Load {
    /// What became of one connection's requests, as far as they are measured.
    fn send(&self, mut connection: Connection) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((number, due)) = self.take() {
            let request = &self.requests[number % self.requests.len()];
            let outcome = match connection.exchange(request) {
                Ok(reply) => self.judge(&reply, due),
                Err(_) => {
                    // A refused connection must not make this a busy loop.
                    thread::sleep(Duration::from_millis(10));
                    if let Ok(again) = Connection::open(self.address) {
                        connection = again;
                    }
                    Outcome::Failed
                }
            };
            if self.counts(due) {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// The next request and when it was due, once it is.
    fn take(&self) -> Option<(usize, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(due) = &self.due else {
            let now = Instant::now();
            return (now < self.window.end).then_some((number, now));
        };
        let due = *due.get(number)?;
        sleep_until(due);
        (Instant::now() < self.window.end + OVERTIME).then_some((number, due))
    }

    /// Whether a request is measured: in a closed loop by when it was answered, so that rate and time
    /// fit; in an open one by when it was due.
    fn counts(&self, due: Instant) -> bool {
        let at = if self.due.is_some() { due } else { Instant::now() };
        at >= self.window.begin && at < self.window.end
    }

    fn judge(&self, reply: &Reply<'_>, due: Instant) -> Outcome {
        if reply.status != 200 {
            return Outcome::Failed;
        }
        // `"degraded":[]` says that nothing was; plain servers do not have the word.
        let degraded = memmem::find(reply.body, b"\"degraded\":[{").is_some();
        if degraded { Outcome::Degraded } else { Outcome::Whole(due.elapsed().as_nanos() as u64) }
    }

    /// Requests of an open loop that were due within the window and never sent.
    fn not_sent(&self) -> usize {
        let Some(due) = &self.due else { return 0 };
        // Each thread took one number more than it sent; those beyond the schedule do not matter.
        let taken = self.next.load(Ordering::Relaxed);
        due.iter().skip(taken).filter(|due| self.counts(**due)).count()
    }
}

fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}
