//! What options of the services depend on beside their own section.

use std::path::{Path, PathBuf};

use plugrank_contract::HistoryLimits;
use plugrank_retrieval::{
    RetrievalOptions,
    options::{PopularOptions, SnapshotOptions},
};

use super::Model;
use crate::{
    Settings,
    settings::{StoreKind, StoreOptions},
};

pub(super) fn retrieval(settings: &Settings, model: Option<&Model>) -> RetrievalOptions {
    let options = settings.retrieval.clone();
    // The user is read once, so as far back as the stages after retrieval read.
    let history = model.map(|model| model.bundle.manifest().history);
    RetrievalOptions {
        max_candidates: max_candidates(settings) as u32,
        surfaces: settings.surface_candidates(),
        history: history.map_or(options.history, |lengths| HistoryLimits {
            clicks: lengths.clicks,
            impressions: lengths.impressions,
        }),
        popular: PopularOptions {
            half_life: settings.store.popularity_half_life(),
            ..options.popular
        },
        snapshot: SnapshotOptions {
            path: snapshot_folder(options.snapshot.path.as_deref(), &settings.store),
            ..options.snapshot
        },
        ..options
    }
}

/// Where snapshots are kept: in the folder that the settings name; beside an embedded store where
/// they name none, since a start without a snapshot builds the index anew.
pub(crate) fn snapshot_folder(named: Option<&Path>, store: &StoreOptions) -> Option<PathBuf> {
    let beside = || match store.kind {
        StoreKind::Embedded => {
            let mut folder = store.path.clone().into_os_string();
            folder.push(".snapshots");
            Some(folder.into())
        }
        StoreKind::Redis => None,
    };
    named.map(Path::to_owned).or_else(beside)
}

/// Most candidates that the gateway asks for or names in one call.
pub(super) fn max_candidates(settings: &Settings) -> usize {
    let asked = settings.server.max_candidates.max(settings.server.k_max as usize);
    let surfaces = settings.surfaces.values().filter_map(|surface| surface.candidates);
    let limit = settings.retrieval.limit.max(surfaces.max().unwrap_or(0));
    asked.max(limit as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_of_an_embedded_store_are_beside_its_file() {
        let mut store = StoreOptions { path: "data/shop.redb".into(), ..StoreOptions::default() };
        let beside = Some("data/shop.redb.snapshots".into());
        assert_eq!(snapshot_folder(None, &store), beside);
        let named = Path::new("elsewhere");
        assert_eq!(snapshot_folder(Some(named), &store), Some(named.to_owned()));
        store.kind = StoreKind::Redis;
        assert_eq!(snapshot_folder(None, &store), None, "a folder of this machine is to be named");
    }
}
