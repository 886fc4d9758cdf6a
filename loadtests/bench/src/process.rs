//! CPU time of a process and its children, from `/proc`.

use std::fs;

/// Clock ticks a second in `/proc/PID/stat`: what Linux tells user space on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a process, user and system, and of the processes it started that still run; 0 where
/// there is no such process or no `/proc`.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    ticks(pid) / TICKS_PER_SECOND + children(pid).into_iter().map(cpu_seconds).sum::<f64>()
}

/// CPU seconds of this process.
pub(crate) fn own_cpu_seconds() -> f64 {
    ticks(std::process::id()) / TICKS_PER_SECOND
}

fn ticks(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // Fields after the name, which may hold spaces: utime and stime are the 14th and 15th of all.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_thread = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    of_thread
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|child| child.parse().ok())
        .collect()
}
