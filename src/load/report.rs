//! What a load did.

use std::{fs, time::Instant};

use plugrank_contract::UserId;
use serde::Serialize;

use super::ColumnLine;

/// How many users the report names.
const SAMPLE: usize = 20;

/// What a load did.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Name of the data set.
    pub dataset: String,
    /// Items read.
    pub items: u64,
    /// Items the store held before.
    pub items_before: u64,
    /// Images read.
    pub images: u64,
    /// Users read.
    pub users: u64,
    /// Interactions written to histories.
    pub interactions: u64,
    /// Interactions left out because they are not before the moment asked for.
    pub later: u64,
    /// Interactions with items that `items.parquet` does not have. They stay in histories.
    pub unknown_items: u64,
    /// Items that the store held with other content, which is gone now.
    pub overwritten: u64,
    /// What happened to each column.
    pub columns: Vec<ColumnLine>,
    /// Items that the folder has as available and the store had withdrawn: the store won.
    pub withdrawn_kept: u64,
    /// Items that the folder has as available and the store had withdrawn: the folder won.
    pub withdrawn_restored: u64,
    /// What took how long.
    pub phases: Vec<LoadPhase>,
    /// Most memory the process held so far, in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// The first users of the data set.
    pub sample_users: Vec<UserId>,
}

/// One phase of a load.
#[derive(Clone, Debug, Serialize)]
pub struct LoadPhase {
    /// Name.
    pub name: &'static str,
    /// Rows.
    pub rows: u64,
    /// Seconds.
    pub seconds: f64,
}

impl LoadReport {
    pub(super) fn new(dataset: String, items_before: u64) -> Self {
        Self {
            dataset,
            items: 0,
            items_before,
            images: 0,
            users: 0,
            interactions: 0,
            later: 0,
            unknown_items: 0,
            overwritten: 0,
            columns: Vec::new(),
            withdrawn_kept: 0,
            withdrawn_restored: 0,
            phases: Vec::new(),
            peak_memory_bytes: None,
            sample_users: Vec::new(),
        }
    }

    /// Notes a phase that has just ended.
    pub fn phase(&mut self, name: &'static str, rows: u64, begun: Instant) {
        self.phases.push(LoadPhase { name, rows, seconds: begun.elapsed().as_secs_f64() });
        self.peak_memory_bytes = peak_memory_bytes();
    }

    pub(super) fn sample(&mut self, user: &UserId) {
        if self.sample_users.len() < SAMPLE {
            self.sample_users.push(user.clone());
        }
    }
}

/// `VmHWM` of Linux.
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
