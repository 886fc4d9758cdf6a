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

/// Seconds measured.
const SECONDS: u32 = 5;
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

/// Starts the roles and a Redis on free ports, the gateway on `port`, and measures: with the
/// encoders beside those that need them, and as a role of their own. As Markdown.
pub(crate) fn measure(parts: &Parts, port: u16) -> Result<String> {
    let mut text = String::from(
        "\nEach role in a process of its own, and a Redis behind them, closed loop of eight connections; a \
         request costs:\n\n",
    );
    text += &measure_by(demo_split::WITHOUT_EMBEDDING, "encoders beside", parts, port)?;
    text += &measure_by(demo_split::ROLES, "an embedding role", parts, port)?;
    Ok(text)
}

fn measure_by(
    roles: &'static [&'static str],
    how: &str,
    parts: &Parts,
    port: u16,
) -> Result<String> {
    demo::free_port(port)?;
    let state = super::folder().join("state-apart");
    let _ = fs::remove_dir_all(&state);
    let site = parts.site(state);
    let mut text = String::new();
    let (server, _users) =
        demo_split::serve(roles, &parts.plugrank, &parts.library, &site, (port, ""))?;
    for candidates in [500, Setting::RETRIEVED] {
        let setting = Setting::new(candidates, 8);
        let load = |seconds: u32| {
            let mut load = parts.bench("load");
            load.args(["--address", &format!("127.0.0.1:{port}"), "--pid", "0"]);
            load.args(["--candidates", &candidates.to_string(), "--connections", "8"]);
            load.args(["--warm-up", "0", "--seconds", &seconds.to_string()]);
            Measured::parse(&process::output(&mut load)?)
        };
        println!("apart, {how}: {}", setting.heading());
        load(SECONDS)?;
        let mut traffic = Traffic::default();
        traffic.look()?;
        let before = usage(&server.pids(), &traffic);
        let measured = traffic.watch_while(|| load(SECONDS))?;
        let after = usage(&server.pids(), &traffic);
        let requests = measured.answered.max(1.0);
        let _ = writeln!(
            text,
            "{}, {how}: {:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms\n\n| process | CPU, us | received, bytes | \
             sent, bytes |\n| --- | --- | --- | --- |",
            setting.heading(),
            measured.per_second,
            measured.p50_us / 1e3,
            measured.p99_us / 1e3,
        );
        let mut all_us = 0.0;
        for (name, after) in &after {
            let before = before.get(name).copied().unwrap_or_default();
            let cpu_us = (after.cpu_s - before.cpu_s) * 1e6 / requests;
            all_us += cpu_us;
            let (received, sent) = (after.received - before.received, after.sent - before.sent);
            let (received, sent) = (received / requests, sent / requests);
            let _ = writeln!(text, "| {name} | {cpu_us:.0} | {received:.0} | {sent:.0} |");
        }
        let _ = writeln!(text, "| all | {all_us:.0} | | |\n");
    }
    Ok(text)
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
