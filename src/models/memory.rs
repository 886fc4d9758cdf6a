//! Whether another model fits in memory.

use std::fs;

use anyhow::{Result, ensure};
use plugrank_bundle::Bundle;

/// Bytes of an item in the table and the index beside its record and its vector: ids, columns, links.
const ITEM_BYTES: u64 = 550;
/// How often a graph's file is in memory while it is loaded: the file, the session, its optimised form.
const GRAPH_COPIES: u64 = 3;
/// What is left to requests that are served meanwhile, in bytes.
const RESERVE: u64 = 64 << 20;

/// Refuses a bundle whose records, index and graphs do not fit in what is left.
///
/// # Errors
/// When they do not fit; the message has both sizes.
pub(super) fn check(bundle: &Bundle, items: u64) -> Result<()> {
    let Some(available) = available() else { return Ok(()) };
    let needed = needed(bundle, items);
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    tracing::info!(
        version = bundle.version(),
        needed_mb = mib(needed),
        available_mb = mib(available),
        "a model is to be loaded"
    );
    ensure!(
        needed + RESERVE <= available,
        "it needs about {} MiB for {items} items beside the model that answers, and {} MiB are available; \
         remove another model, or give the process more memory",
        mib(needed + RESERVE),
        mib(available)
    );
    Ok(())
}

fn needed(bundle: &Bundle, items: u64) -> u64 {
    let record = bundle.record().bytes() as u64;
    let vector = bundle.record().vector().map_or(0, |vector| vector.dim as u64);
    let graphs: u64 = bundle.manifest().files.values().map(|file| file.bytes).sum();
    // A vector is kept as f32, and once more in the index.
    items * (record + 2 * vector * 4 + ITEM_BYTES) + graphs * GRAPH_COPIES
}

/// Bytes that are still available: the least of what the machine and the process's group have left. `None`
/// where neither says.
fn available() -> Option<u64> {
    [machine(), group()].into_iter().flatten().min()
}

fn machine() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What a control group of version 2 has left; `max` is no number, and no limit.
fn group() -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}
