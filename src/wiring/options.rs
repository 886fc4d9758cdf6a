//! From settings to the services' own options.

use std::{num::NonZeroUsize, time::Duration};

use plugrank_contract::HistoryLimits;
use plugrank_encoding::EncodingOptions;
use plugrank_reranking::{
    RerankingOptions,
    options::{CategoryCapOptions, DiversityOptions, ExplorationOptions},
};
use plugrank_retrieval::{
    RetrievalOptions,
    options::{
        AnnOptions, CategoryOptions, CoVisitationOptions, PopularOptions, Quota, SnapshotOptions,
    },
};
use plugrank_runtime::settings::{EmbeddingSettings, RerankingSettings};

use super::Model;
use crate::Settings;

const DAY: Duration = Duration::from_secs(86_400);

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

pub(super) fn reranking(of: &RerankingSettings) -> RerankingOptions {
    RerankingOptions {
        pool: of.pool,
        diversity: DiversityOptions { lambda: of.lambda as f32 },
        category_cap: CategoryCapOptions {
            enabled: of.category_cap > 0,
            max: of.category_cap.max(1),
            first: of.category_window,
        },
        exploration: ExplorationOptions {
            share: of.exploration_share,
            fresh_for: DAY * of.fresh_days,
        },
    }
}

pub(super) fn encoding(of: &EmbeddingSettings) -> EncodingOptions {
    EncodingOptions {
        memory_bytes: (of.memory_mb as u64) << 20,
        user_state_share: of.user_state_share,
        encode_on_miss: of.encode_on_miss,
        encode_batch: of.encode_batch,
        encode_threads: of.encode_threads,
        max_encoded_per_call: of.encode_per_call,
        encode_queue: of.encode_queue,
        write_back_queue: of.write_back_queue,
        answer_margin: Duration::from_micros(of.answer_margin_us),
        user_batch_rows: of.user_batch_rows,
        user_buckets: of.user_buckets.clone(),
        user_threads: of.user_threads,
        user_batch_wait: Duration::from_micros(of.user_batch_wait_us),
    }
}

/// Most candidates that the gateway asks for or names in one call.
pub(super) fn max_candidates(settings: &Settings) -> usize {
    let asked = settings.server.max_candidates.max(settings.server.k_max as usize);
    asked.max(settings.retrieval.limit as usize)
}
