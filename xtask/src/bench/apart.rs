//! Each role in a process of its own: what a request costs each, and what crosses their borders.

use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command};

use anyhow::Result;

use super::{measure::Measured, servers::Parts, subject::Setting};
use crate::{demo, demo_split, process};

/// Seconds measured.
const SECONDS: u32 = 5;
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
        let before = usage(&server.pids())?;
        let measured = load(SECONDS)?;
        let after = usage(&server.pids())?;
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

/// What each process took so far: CPU from `/proc`, bytes of its TCP connections from `ss`.
fn usage(processes: &[(&'static str, u32)]) -> Result<BTreeMap<&'static str, Usage>> {
    let sockets = process::output(Command::new("ss").args(["-tinpHO"]))?;
    let mut usages = BTreeMap::new();
    for (name, pid) in processes {
        let mut usage = Usage { cpu_s: cpu_seconds(*pid), ..Usage::default() };
        let owner = format!("pid={pid},");
        for line in sockets.lines().filter(|line| line.contains(&owner)) {
            usage.received += count(line, "bytes_received:");
            usage.sent += count(line, "bytes_sent:");
        }
        usages.insert(*name, usage);
    }
    Ok(usages)
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
    use super::count;

    #[test]
    fn socket_counters_are_found_by_name() {
        let line = "ESTAB 0 0 127.0.0.1:1 127.0.0.1:2 users:((\"a\",pid=7,fd=3)) bytes_sent:12 bytes_received:3";
        assert_eq!((count(line, "bytes_sent:"), count(line, "bytes_received:")), (12.0, 3.0));
        assert_eq!(count("bytes_acked:5", "bytes_sent:"), 0.0);
    }
}
