//! What options of the services depend on beside their own section.

use plugrank_contract::HistoryLimits;
use plugrank_retrieval::RetrievalOptions;

use super::Model;
use crate::Settings;

pub(super) fn retrieval(settings: &Settings, model: Option<&Model>) -> RetrievalOptions {
    let options = settings.retrieval.clone();
    // The user is read once, so as far back as the stages after retrieval read.
    let history = model.map(|model| model.bundle.manifest().history);
    RetrievalOptions {
        max_candidates: max_candidates(settings) as u32,
        history: history.map_or(options.history, |lengths| HistoryLimits {
            clicks: lengths.clicks,
            impressions: lengths.impressions,
        }),
        ..options
    }
}

/// Most candidates that the gateway asks for or names in one call.
pub(super) fn max_candidates(settings: &Settings) -> usize {
    let asked = settings.server.max_candidates.max(settings.server.k_max as usize);
    asked.max(settings.retrieval.limit as usize)
}
