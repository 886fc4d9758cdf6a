//! From settings to the services' own options.

use std::{num::NonZeroUsize, time::Duration};

use plugrank_contract::HistoryLimits;
use plugrank_encoding::EncodingOptions;
use plugrank_inference::{Provider, SessionOptions};
use plugrank_open_inference::ModelOptions;
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
use plugrank_runtime::settings::{
    EmbeddingSettings, PeerSettings, Provider as ProviderChoice, RerankingSettings, ScoringSettings,
};
use plugrank_scoring::ScoringOptions;
use plugrank_transport::{EjectionOptions, HedgeOptions, RemoteOptions};

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
    // The gateway never asks for more than the largest of these.
    let asked = settings.server.max_candidates.max(settings.server.k_max as usize);
    RetrievalOptions {
        max_candidates: of.limit.max(asked as u32),
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

/// How the scoring graphs are loaded.
#[must_use]
pub fn session(of: &ScoringSettings) -> SessionOptions {
    let provider = match of.provider {
        ProviderChoice::Cpu => Provider::Cpu,
        ProviderChoice::Cuda => Provider::Cuda { device: of.device },
    };
    SessionOptions { provider, threads: of.threads, fallback: of.fallback }
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

pub(super) fn scoring(settings: &Settings) -> ScoringOptions {
    let of = &settings.scoring;
    let asked = settings.server.max_candidates.max(settings.server.k_max as usize);
    ScoringOptions {
        workers: workers(of),
        batch_rows: of.batch_rows,
        batch_wait: Duration::from_micros(of.batch_wait_us),
        run_in_place: Duration::from_micros(of.run_in_place_us),
        candidate_buckets: of.candidate_buckets.clone(),
        user_buckets: of.user_buckets.clone(),
        max_candidates: asked.max(settings.retrieval.limit as usize),
        answer_margin: Duration::from_micros(of.margin_us),
    }
}

/// Most workers that are started when the settings name no number: each loads the graphs again.
const MOST_WORKERS: usize = 8;

/// Worker threads of scoring.
fn workers(of: &ScoringSettings) -> usize {
    match (of.workers, of.provider) {
        (0, ProviderChoice::Cuda) => 1,
        (0, ProviderChoice::Cpu) => {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            (cores / of.threads.max(1)).clamp(1, MOST_WORKERS)
        }
        (named, _) => named,
    }
}

/// How the server that runs the unified model is called.
pub(super) fn model_server(settings: &Settings) -> ModelOptions {
    let of = &settings.scoring.open_inference;
    let server = remote("open_inference", &of.url, &settings.peers);
    let timeout = Duration::from_millis(of.timeout_ms);
    ModelOptions { server, model: of.model.clone(), version: of.version.clone(), timeout }
}

/// How a role in other processes is called.
pub(super) fn remote(role: &'static str, urls: &[String], of: &PeerSettings) -> RemoteOptions {
    RemoteOptions {
        name: role,
        base_urls: urls.to_vec(),
        resolve_every: Duration::from_millis(of.resolve_every_ms),
        connect_timeout: Duration::from_millis(of.connect_timeout_ms),
        call_timeout: Duration::from_millis(of.call_timeout_ms),
        hedge: match (of.hedge, of.hedge_after_ms) {
            (false, _) => HedgeOptions::Off,
            (true, None) => HedgeOptions::RecentP95,
            (true, Some(after)) => HedgeOptions::After(Duration::from_millis(after)),
        },
        extra_share: of.extra_calls_share as f32,
        ejection: EjectionOptions {
            consecutive: of.eject_after,
            share: of.eject_share,
            base: Duration::from_millis(of.eject_ms),
            longest: Duration::from_millis(of.eject_max_ms),
        },
    }
}
