//! From settings to the services' own options.

use std::{num::NonZeroUsize, time::Duration};

use plugrank_contract::HistoryLimits;
use plugrank_retrieval::{
    RetrievalOptions,
    options::{
        AnnOptions, CategoryOptions, CoVisitationOptions, PopularOptions, Quota, SnapshotOptions,
    },
};

use super::Model;
use crate::Settings;

pub(super) fn retrieval(settings: &Settings, model: Option<&Model>) -> RetrievalOptions {
    let of = &settings.retrieval;
    let quota = |(name, share): (&str, f64)| (name.to_owned(), Quota { share, weight: 1.0 });
    let shares = [
        ("ann", of.shares.ann),
        ("co_visitation", of.shares.co_visitation),
        ("category", of.shares.category),
        ("popular", of.shares.popular),
        ("fresh", of.shares.fresh),
    ];
    // The user is read once, so as far back as the stages after retrieval read.
    let history = model.map(|model| model.bundle.manifest().history);
    let defaults = RetrievalOptions::default();
    RetrievalOptions {
        max_candidates: max_candidates(settings) as u32,
        seen_clicks: of.seen_clicks,
        source_time_share: of.source_time_share,
        history: history.map_or(defaults.history, |lengths| HistoryLimits {
            clicks: lengths.clicks,
            impressions: lengths.impressions,
        }),
        quotas: shares.into_iter().map(quota).collect(),
        ann: AnnOptions {
            connectivity: of.ann.connectivity,
            expansion_add: of.ann.expansion_add,
            expansion_search: of.ann.expansion_search,
            mean_clicks: of.ann.mean_clicks,
            interests: of.ann.interests,
            threads: of.ann.threads.and_then(NonZeroUsize::new),
            ..defaults.ann
        },
        co_visitation: CoVisitationOptions {
            clicks: of.co_visitation_clicks,
            ..defaults.co_visitation
        },
        category: CategoryOptions { categories: of.categories, ..defaults.category },
        snapshot: SnapshotOptions {
            folder: of.snapshot.path.clone(),
            every: Duration::from_millis(of.snapshot.every_ms),
        },
        popular: PopularOptions {
            refresh_every: Duration::from_millis(of.popular_refresh_ms),
            ..defaults.popular
        },
    }
}

/// Most candidates that the gateway asks for or names in one call.
pub(super) fn max_candidates(settings: &Settings) -> usize {
    let asked = settings.server.max_candidates.max(settings.server.k_max as usize);
    asked.max(settings.retrieval.limit as usize)
}
