//! `plugrank replay --lists`: re-ranks logged requests again.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context as _, Result};
use futures::FutureExt;
use plugrank_contract::{Context, reranking::Reranked};
use plugrank_reranking::RerankingService;
use plugrank_transport::Service;
use serde::Serialize;

use super::served::{Served, each, rules_of};
use crate::Settings;

/// Lists that differ and are named.
const NAMED: usize = 20;
/// How far a propensity may be off: what is printed of it, and no more.
const TOLERANCE: f32 = 1e-5;

/// What re-ranking again came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayedLists {
    /// Lists that were logged in full.
    pub lists: u64,
    /// Those that come out as they were served, item by item, with the same propensities.
    pub same: u64,
    /// Requests whose lists do not, the first twenty.
    pub different: Vec<String>,
}

/// Re-ranks the lists of a file by the settings.
///
/// # Errors
/// A file that cannot be read or is no export, a call that another version logged, and a surface that the settings
/// do not have.
pub fn replay_lists(file: &Path, settings: &Settings) -> Result<ReplayedLists> {
    let service = rules_of(settings)?;
    let mut found = ReplayedLists::default();
    each(file, |served| found.add(&served, &service))?;
    Ok(found)
}

impl ReplayedLists {
    fn add(&mut self, served: &Served, service: &RerankingService) -> Result<()> {
        let id = &served.request_id;
        let call = served.call()?;
        let items = call.items.clone();
        // It waits for nothing, so that it is done at once.
        let reply: Reranked = service
            .call(Context::background(), call)
            .now_or_never()
            .context("re-ranking waits for something")?
            .with_context(|| format!("request {id} cannot be re-ranked"))?;
        let near = |a: Option<f32>, b: Option<f32>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE,
            (a, b) => a == b,
        };
        let same = reply.places.len() == served.items.len()
            && reply.places.iter().zip(&served.items).all(|(place, (item, propensity))| {
                let placed = items.id_at(place.candidate as usize);
                placed.is_some_and(|id| id.as_str() == item) && near(place.propensity, *propensity)
            });
        self.lists += 1;
        self.same += u64::from(same);
        if !same && self.different.len() < NAMED {
            self.different.push(id.clone());
        }
        Ok(())
    }
}

/// What was found, for people.
#[must_use]
pub fn lists_report(found: &ReplayedLists) -> String {
    let ReplayedLists { lists, same, different } = found;
    let mut text = format!("{same} of {lists} lists come out as they were served\n");
    for id in different {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  differs: request {id}");
    }
    if *lists == 0 {
        text.push_str("  none was logged in full: see exposures.full_share\n");
    }
    text
}
