//! Each role in a process of its own: what a request costs each, and what crosses their borders.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow};

use super::{measure::Measured, servers::Parts, subject::Setting};
use crate::{demo, demo_split, process};

/// Requests a second.
const RATE: u32 = 1000;
/// Seconds measured, and how often; the round whose CPU is the median counts.
const SECONDS: u32 = 4;
const ROUNDS: usize = 3;
/// Between two looks at the connections: what passes in one after its last look is not counted.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Clock ticks a second in `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process took so far.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    cpu_s: f64,
    received: f64,
    sent: f64,
}

/// How the roles are spread, from one process to each by itself.
const LAYOUTS: [(&str, &[&str]); 4] = [
    ("one process", &["all"]),
    ("scoring apart, the rest together", &["scoring", "all"]),
    ("each role apart, encoders beside those that need them", demo_split::WITHOUT_EMBEDDING),
    ("each role apart, encoders too", demo_split::ROLES),
];

/// Candidates a request.
const CANDIDATES: [usize; 2] = [Setting::RETRIEVED, 500];

/// One layout under load.
struct Cost {
    /// CPU of all processes, microseconds a request.
    cpu_us: f64,
    p50_us: f64,
    /// What each process took of it, as rows of a table.
    processes: String,
}

impl Cost {
    fn new(
        before: &BTreeMap<&'static str, Usage>,
        after: &BTreeMap<&'static str, Usage>,
        measured: &Measured,
    ) -> Self {
        let requests = measured.answered.max(1.0);
        let (mut cpu_us, mut processes) = (0.0, String::new());
        for (name, after) in after {
            let before = before.get(name).copied().unwrap_or_default();
            let of_one = (after.cpu_s - before.cpu_s) * 1e6 / requests;
            cpu_us += of_one;
            let (received, sent) = (after.received - before.received, after.sent - before.sent);
            let (received, sent) = (received / requests, sent / requests);
            let _ = writeln!(processes, "| {name} | {of_one:.0} | {received:.0} | {sent:.0} |");
        }
        Self { cpu_us, p50_us: measured.p50_us, processes }
    }
}

/// Starts the roles and a Redis on free ports, what answers REST on `port`, and measures one layout after the other. As
/// Markdown.
pub(crate) fn measure(parts: &Parts, port: u16) -> Result<String> {
    let mut text = format!(
        "`cargo xtask bench --apart` on {}: all layouts on one Redis, {RATE} requests a second at random times; CPU of all processes, \
         Redis among them, microseconds a request, and more cores than one process:\n\n| | {}, CPU | cores more | p50, ms | \
         500, CPU | cores more | p50, ms |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        super::short(parts.bundle()),
        heading(Setting::RETRIEVED),
    );
    let mut together: Option<Vec<f64>> = None;
    let mut processes = String::new();
    for (how, roles) in LAYOUTS {
        let costs = measure_by(roles, how, parts, port)?;
        let base = together.get_or_insert_with(|| costs.iter().map(|cost| cost.cpu_us).collect());
        let _ = write!(text, "| {how} |");
        for (cost, base) in costs.iter().zip(base.iter()) {
            let more = (cost.cpu_us - base) / 1e6 * f64::from(RATE);
            let _ = write!(text, " {:.0} | {more:.2} | {:.2} |", cost.cpu_us, cost.p50_us / 1e3);
        }
        text.push('\n');
        for (cost, candidates) in costs.iter().zip(CANDIDATES) {
            let _ = write!(
                processes,
                "\n{}, {how}:\n\n| process | CPU, us | received, bytes | sent, bytes |\n| --- | --- | --- | --- |\n{}",
                heading(candidates),
                cost.processes
            );
        }
    }
    Ok(text + &processes)
}

fn heading(candidates: usize) -> String {
    match candidates {
        Setting::RETRIEVED => format!("{} retrieved", Setting::RETRIEVED_ROWS),
        candidates => format!("{candidates} candidates"),
    }
}

/// Of each number of candidates.
fn measure_by(
    roles: &'static [&'static str],
    how: &str,
    parts: &Parts,
    port: u16,
) -> Result<Vec<Cost>> {
    demo::free_port(port)?;
    let state = super::folder().join("state-apart");
    let _ = fs::remove_dir_all(&state);
    let site = parts.site(state);
    let (server, _users) =
        demo_split::serve(roles, &parts.plugrank, &parts.library, &site, (port, ""))?;
    let cost = |candidates: usize| {
        let load = |seconds: u32| {
            let mut load = parts.bench("load");
            load.args(["--address", &format!("127.0.0.1:{port}"), "--pid", "0"]);
            load.args(["--candidates", &candidates.to_string(), "--rate", &RATE.to_string()]);
            load.args(["--connections", &Setting::OPEN_CONNECTIONS.to_string()]);
            load.args(["--warm-up", "0", "--seconds", &seconds.to_string()]);
            Measured::parse(&process::output(&mut load)?)
        };
        println!("{how}: {}", heading(candidates));
        load(SECONDS)?;
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let mut traffic = Traffic::default();
            traffic.look()?;
            let before = usage(&server.pids(), &traffic);
            let measured = traffic.watch_while(|| load(SECONDS))?;
            let after = usage(&server.pids(), &traffic);
            rounds.push(Cost::new(&before, &after, &measured));
        }
        rounds.sort_by(|a, b| a.cpu_us.total_cmp(&b.cpu_us));
        Ok(rounds.swap_remove(ROUNDS / 2))
    };
    CANDIDATES.into_iter().map(cost).collect()
}

/// What each process took so far: CPU from `/proc`, bytes of its TCP connections.
fn usage(processes: &[(&'static str, u32)], traffic: &Traffic) -> BTreeMap<&'static str, Usage> {
    let of = |pid: u32| {
        let (received, sent) = traffic.of(pid);
        Usage { cpu_s: cpu_seconds(pid), received, sent }
    };
    processes.iter().map(|(name, pid)| (*name, of(*pid))).collect()
}

/// Bytes that connections received and sent, also of those that were closed since.
#[derive(Default)]
struct Traffic {
    /// By both addresses and the owning processes, as `ss` prints them.
    connections: BTreeMap<String, (f64, f64)>,
}

impl Traffic {
    /// Reads the counters of all connections.
    fn look(&mut self) -> Result<()> {
        let sockets = process::output(Command::new("ss").args(["-tinpHO"]))?;
        self.read(&sockets);
        Ok(())
    }

    fn read(&mut self, sockets: &str) {
        for line in sockets.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, own, other, owners, ..] = &words[..] else { continue };
            let counted = (count(line, "bytes_received:"), count(line, "bytes_sent:"));
            self.connections.insert(format!("{own} {other} {owners}"), counted);
        }
    }

    /// Reads them again and again while something runs.
    fn watch_while<T>(&mut self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let watching = scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    self.look()?;
                    thread::sleep(LOOK_EVERY);
                }
                self.look()
            });
            let done = run();
            ended.store(true, Ordering::Relaxed);
            let watched = watching.join().map_err(|_| anyhow!("reading the connections panicked"));
            let done = done?;
            watched??;
            Ok(done)
        })
    }

    /// What a process received and sent.
    fn of(&self, pid: u32) -> (f64, f64) {
        let owner = format!("pid={pid},");
        let own = self.connections.iter().filter(|(connection, _)| connection.contains(&owner));
        own.fold((0.0, 0.0), |sum, (_, bytes)| (sum.0 + bytes.0, sum.1 + bytes.1))
    }
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields after the name, which may hold spaces: utime and stime are the 14th and 15th of all.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

fn count(line: &str, key: &str) -> f64 {
    let found = line.split_whitespace().find_map(|word| word.strip_prefix(key));
    found.and_then(|digits| digits.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::{Traffic, count};

    #[test]
    fn closed_connections_stay_counted() {
        let line = |port: u16, bytes: u32| {
            format!(
                "ESTAB 0 0 127.0.0.1:{port} 127.0.0.1:2 users:((\"a\",pid=7,fd=3)) bytes_received:{bytes}"
            )
        };
        let mut traffic = Traffic::default();
        traffic.read(&[line(1, 10), line(3, 5)].join("\n"));
        traffic.read(&line(3, 8));
        assert_eq!((traffic.of(7), traffic.of(70)), ((18.0, 0.0), (0.0, 0.0)));
    }

    #[test]
    fn socket_counters_are_found_by_name() {
        let line = "ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 users:((\"a\",pid=7,fd=3)) bytes_sent:12 bytes_received:3";
        assert_eq!((count(line, "bytes_sent:"), count(line, "bytes_received:")), (12.0, 3.0));
        assert_eq!(count("bytes_acked:5", "bytes_sent:"), 0.0);
    }
}
