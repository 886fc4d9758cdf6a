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
    requests::{self, BUDGET_MS, K},
    ring::Ring,
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
    /// Latency budget of each request, in milliseconds; one that cannot be met is refused.
    #[arg(long, default_value_t = BUDGET_MS)]
    budget_ms: u32,
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
    let requests =
        requests::draw(&about, args.address, args.candidates, (K, args.budget_ms), DIFFERENT, 7)?;
    let mut connections = Vec::with_capacity(args.connections);
    for request in requests.iter().cycle().take(args.connections) {
        let mut connection = Connection::open(args.address)?;
        // Answered before the next one is opened: of several processes that wait for connections, one
        // would take all those that come at once.
        connection.exchange(request)?;
        connections.push(connection);
    }
    let budget = Duration::from_millis(args.budget_ms.into());
    let start = Instant::now();
    let begin = start + Duration::from_secs_f64(args.warm_up);
    let window = Window { begin, end: begin + Duration::from_secs_f64(args.seconds) };
    let send = || match args.rate {
        None => closed(args.address, connections, &requests, &window),
        Some(rate) => {
            let due = schedule(rate, start, window.end)?;
            let next = AtomicUsize::new(0);
            OpenLoop { address: args.address, requests: &requests, window: &window, due, next }
                .run(connections)
        }
    };
    let measured = thread::scope(|scope| {
        let loads = scope.spawn(send);
        let cpu = || (process::cpu_seconds(args.pid), process::own_cpu_seconds());
        sleep_until(window.begin);
        let before = cpu();
        sleep_until(window.end);
        let after = cpu();
        let outcomes = loads.join().map_err(|_| anyhow!("a thread panicked"))??;
        let (server, client) = (after.0 - before.0, after.1 - before.1);
        Ok::<_, anyhow::Error>(Measured::from_outcomes(
            &outcomes,
            budget,
            args.seconds,
            server,
            client,
        ))
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// A closed loop: what was answered within the window, so that rate and time fit.
fn closed(
    address: SocketAddr,
    connections: Vec<Connection>,
    requests: &[Vec<u8>],
    window: &Window,
) -> Result<Vec<Outcome>> {
    let streams = connections.into_iter().map(Connection::into_stream).collect();
    let mut outcomes = Vec::new();
    Ring::new(streams)?.run(address, requests, window.end, |reply, sent| {
        let outcome = reply.map_or(Outcome::Failed, |reply| judge(&reply, sent));
        if window.holds(Instant::now()) {
            outcomes.push(outcome);
        }
    })?;
    Ok(outcomes)
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

/// Requests that are sent when they are due: a blocking thread a connection, each of which takes the
/// next one and waits for its time. Timers of threads are exact to some 60 us, which counts as latency.
struct OpenLoop<'a> {
    address: SocketAddr,
    requests: &'a [Vec<u8>],
    window: &'a Window,
    due: Vec<Instant>,
    next: AtomicUsize,
}

impl OpenLoop<'_> {
    fn run(&self, connections: Vec<Connection>) -> Result<Vec<Outcome>> {
        let mut outcomes = thread::scope(|scope| {
            let mut threads = Vec::with_capacity(connections.len());
            for connection in connections {
                let builder = thread::Builder::new().stack_size(STACK);
                threads.push(builder.spawn_scoped(scope, move || self.send(connection))?);
            }
            let mut outcomes = Vec::new();
            for thread in threads {
                outcomes.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))?);
            }
            Ok::<_, anyhow::Error>(outcomes)
        })?;
        // Those that were never sent, as every connection was busy to the end and beyond.
        let taken = self.next.load(Ordering::Relaxed);
        let missed = self.due.iter().skip(taken).filter(|due| self.window.holds(**due)).count();
        outcomes.extend(std::iter::repeat_n(Outcome::Failed, missed));
        Ok(outcomes)
    }

    /// What happened to one connection's requests, as far as they were due within the window.
    fn send(&self, mut connection: Connection) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((number, due)) = self.take() {
            let request = &self.requests[number % self.requests.len()];
            let outcome = match connection.exchange(request) {
                Ok(reply) => judge(&reply, due),
                Err(_) => {
                    // A refused connection must not make this a busy loop.
                    thread::sleep(Duration::from_millis(10));
                    if let Ok(again) = Connection::open(self.address) {
                        connection = again;
                    }
                    Outcome::Failed
                }
            };
            if self.window.holds(due) {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// The next request and when it was due, once it is.
    fn take(&self) -> Option<(usize, Instant)> {
        if Instant::now() >= self.window.end + OVERTIME {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = *self.due.get(number)?;
        sleep_until(due);
        Some((number, due))
    }
}

impl Window {
    fn holds(&self, at: Instant) -> bool {
        at >= self.begin && at < self.end
    }
}

/// How a request ended that was sent, or due, at a time.
fn judge(reply: &Reply<'_>, since: Instant) -> Outcome {
    if reply.status != 200 {
        return Outcome::Failed;
    }
    // `"degraded":[]` says that nothing was; plain servers do not have the word.
    let degraded = memmem::find(reply.body, b"\"degraded\":[{").is_some();
    let took = since.elapsed().as_nanos() as u64;
    if degraded { Outcome::Degraded(took) } else { Outcome::Whole(took) }
}

fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}
