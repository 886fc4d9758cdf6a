//! Whether a run counts: on the pinned bundle, with peers that reach what they are known to reach.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    measure::Results,
    subject::{Setting, Subject},
};
use crate::process;

/// SHA-256 of the manifest of [`bundle`], which lists the hash of every other file.
const MANIFEST: &str = "d9c27502c581b805d5769a5abbaf138ae309e3850a6f9655d655527f97682d9e";
/// Shares of the limit that the peers reached on a quiet machine of two cores, 500 candidates and
/// eight connections.
const SHARES: [(Subject, f64); 3] =
    [(Subject::Scoring, 0.92), (Subject::Mmr, 0.80), (Subject::FastApi, 0.54)];
/// How far they may be from that.
const TOLERANCE: f64 = 0.15;

/// The bundle that the baseline was measured with: what was shipped until rankings became personal.
pub(crate) fn bundle() -> PathBuf {
    crate::root().join("models/baseline/bundle")
}

/// Whether [`bundle`] is the pinned one.
pub(crate) fn pinned() -> Result<bool> {
    Ok(manifest_sha256(&bundle())? == MANIFEST)
}

/// SHA-256 of a bundle's manifest, lower-case hex.
pub(crate) fn manifest_sha256(bundle: &Path) -> Result<String> {
    let manifest = bundle.join("manifest.json");
    fs::metadata(&manifest).with_context(|| format!("{}", manifest.display()))?;
    let said = process::output(std::process::Command::new("sha256sum").arg(&manifest))?;
    said.split_whitespace().next().map(str::to_owned).context("sha256sum said nothing")
}

/// Whether a run counts, and why.
pub(crate) struct Verdict {
    pub(crate) counts: bool,
    pub(crate) text: String,
}

/// Holds the peers against their known shares.
pub(crate) fn verdict(results: &Results) -> Verdict {
    let mut counts = true;
    let mut text = String::from("peers, 500 candidates and eight connections:\n");
    for (subject, known) in SHARES {
        let reached = results.of_limit(subject, Setting::new(500, 8));
        let near = reached.is_some_and(|share| (share / known - 1.0).abs() <= TOLERANCE);
        counts &= near;
        let reached = reached.map_or("not measured".to_owned(), |share| format!("{share:.2}"));
        let said = if near { "near" } else { "too far from" };
        text += &format!("  {:<24} {reached} of the limit, {said} {known:.2}\n", subject.name());
    }
    text += if counts { "the run counts" } else { "the run does not count" };
    Verdict { counts, text }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_baseline_is_the_pinned_bundle() {
        assert!(super::pinned().unwrap());
    }
}
