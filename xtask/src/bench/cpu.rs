//! Where a server's CPU time goes, by library, as `perf` samples it.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use super::{
    measure::Measured,
    servers::Servers,
    subject::{Setting, Subject},
};
use crate::process;

/// Seconds sampled.
const SECONDS: u32 = 3;
/// Samples a second and core.
const FREQUENCY: &str = "499";

/// Where a request's CPU time goes in a server, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuByLibrary {
    pub(crate) graph: f64,
    pub(crate) own: f64,
    pub(crate) libc: f64,
    pub(crate) kernel: f64,
}

/// Samples every server under a closed loop; nothing where there is no `perf`.
pub(crate) fn by_library(
    servers: &Servers,
    setting: Setting,
) -> Result<Vec<(Subject, CpuByLibrary)>> {
    if !process::works("perf", &["--version"]) {
        println!("perf is not on the PATH: CPU time is not told apart by library");
        return Ok(Vec::new());
    }
    println!("CPU by library: {}", setting.heading());
    let mut shares = Vec::new();
    for subject in servers.subjects().filter(|subject| *subject != Subject::Limit) {
        let mut load = servers.load(subject)?;
        load.args(["--candidates", &setting.candidates.to_string()]);
        load.args(["--connections", &setting.connections.to_string()]);
        load.args(["--seconds", &SECONDS.to_string()]);
        let pid = servers.pid(subject).context("this server does not run")?;
        let file = super::folder().join(format!("{subject:?}.perf").to_lowercase());
        // Otherwise `perf` keeps it under another name.
        let _ = std::fs::remove_file(&file);
        let (measured, sampled) = std::thread::scope(|scope| {
            let load = scope.spawn(move || process::output(&mut load));
            let sampled = sample(pid, &file);
            let measured = load.join().map_err(|_| anyhow::anyhow!("the load panicked"))?;
            Ok::<_, anyhow::Error>((Measured::parse(&measured?)?, sampled?))
        })?;
        shares.push((subject, parse(&sampled, measured.cpu_us)));
    }
    Ok(shares)
}

/// Samples a process and its children; the report, one `share,library` a line.
fn sample(pid: u32, file: &Path) -> Result<String> {
    let mut pids = vec![pid.to_string()];
    let children = Command::new("pgrep").args(["-P", &pid.to_string()]).output();
    if let Ok(children) = children {
        pids.extend(
            String::from_utf8_lossy(&children.stdout).split_whitespace().map(str::to_owned),
        );
    }
    let mut record = Command::new("perf");
    record.args(["record", "--quiet", "--event", "cpu-clock", "--freq", FREQUENCY]);
    record.args(["--pid", &pids.join(",")]).arg("--output").arg(file);
    record.args(["--", "sleep", &(SECONDS - 1).to_string()]);
    process::output(&mut record)?;
    let mut report = Command::new("perf");
    report.arg("report").arg("--input").arg(file);
    report.args(["--stdio", "--sort", "dso", "--field-separator", ","]);
    process::output(&mut report)
}

fn parse(report: &str, cpu_us: f64) -> CpuByLibrary {
    let mut of = CpuByLibrary::default();
    for line in report.lines() {
        let Some((share, library)) = line.trim().split_once(',') else { continue };
        let Ok(percent) = share.trim().trim_end_matches('%').parse::<f64>() else { continue };
        let library = library.trim();
        let part = if library.contains("onnxruntime") {
            &mut of.graph
        } else if library.starts_with('[') {
            &mut of.kernel
        } else if library.starts_with("libc.") || library.starts_with("libc-") {
            &mut of.libc
        } else {
            &mut of.own
        };
        *part += cpu_us * percent / 100.0;
    }
    of
}

#[cfg(test)]
mod tests {
    use super::{CpuByLibrary, parse};

    #[test]
    fn libraries_are_put_into_four_groups() {
        let report = "# Overhead,Shared Object\n 50.00% ,libonnxruntime.so.1.31.1\n 25.00% ,[kernel.kallsyms]\n \
                      5.00%  ,[vdso]\n 12.00% ,plugrank\n 8.00%  ,libc.so.6\n";
        let expected = CpuByLibrary { graph: 100.0, own: 24.0, libc: 16.0, kernel: 60.0 };
        let found = parse(report, 200.0);
        assert!(
            (found.graph - expected.graph).abs() < 1e-9 && (found.own - expected.own).abs() < 1e-9
        );
        assert!(
            (found.libc - expected.libc).abs() < 1e-9
                && (found.kernel - expected.kernel).abs() < 1e-9
        );
    }
}
