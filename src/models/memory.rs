//! Whether another model fits in memory.

use std::fs;

use anyhow::{Result, ensure};
use plugrank_bundle::Bundle;

/// Bytes of an item in the table and the index beside its record and its vector: ids, columns, links.
const ITEM_BYTES: u64 = 550;
/// How often a graph's file is in memory while it is loaded: the file, the session, its optimised form.
const GRAPH_COPIES: u64 = 3;
/// Memory in which a model's graphs run, in bytes. Measured: the second model of the shipped shop takes 135 MiB on two
/// cores, of which its items and files are 13.
const RUNNING: u64 = 128 << 20;
/// What is left to requests that are served meanwhile, in bytes.
const RESERVE: u64 = 64 << 20;

/// Refuses a bundle whose records, index and graphs do not fit in what is left.
///
/// # Errors
/// When they do not fit; the message has both sizes.
pub(super) fn check(bundle: &Bundle, items: u64) -> Result<()> {
    let Some(available) = available() else { return Ok(()) };
    let needed = needed(bundle, items);
    tracing::info!(
        version = bundle.version(),
        needed_mb = mib(needed),
        available_mb = mib(available),
        "a model is to be loaded"
    );
    fits(needed, available, items)
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

fn fits(needed: u64, available: u64, items: u64) -> Result<()> {
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
    items * (record + 2 * vector * 4 + ITEM_BYTES) + graphs * GRAPH_COPIES + RUNNING
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_model_that_exceeds_available_memory_is_refused_with_both_sizes() {
        let needed = 100 << 20;
        assert!(fits(needed, needed + RESERVE, 7).is_ok());
        let error = fits(needed, needed + RESERVE - 1, 7).unwrap_err().to_string();
        for part in ["164 MiB for 7 items", "164 MiB are available", "remove another model"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_bundle_whose_item_table_exceeds_memory_is_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/simshop/bundle");
        let bundle = Bundle::open(&folder).unwrap();
        assert!(check(&bundle, 1_500).is_ok());
        assert!(needed(&bundle, 1_000_000) > 550_000_000);
        if available().is_some() {
            let error = check(&bundle, 1 << 40).unwrap_err().to_string();
            assert!(error.contains("give the process more memory"), "{error}");
        }
    }
}
