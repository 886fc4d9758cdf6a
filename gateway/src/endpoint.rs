//! Every path of the API and the methods it takes.

use actix_web::Resource;
use plugrank_http::{health, metrics};

pub(crate) use plugrank_http::get_or_head;

/// A path of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Rank,
    RankBatch,
    Events,
    Items,
    Item,
    ItemImage,
    ItemSimilar,
    User,
    Models,
    Model,
    ModelActivate,
    Experiments,
    Experiment,
    ExperimentResults,
    Export,
    Backup,
    Liveness,
    Readiness,
    Metrics,
    OpenApi,
    Docs,
    DocsFile,
    Playground,
    PlaygroundShoppers,
    PlaygroundFile,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 25] = [
        Self::Rank,
        Self::RankBatch,
        Self::Events,
        Self::Items,
        Self::Item,
        Self::ItemImage,
        Self::ItemSimilar,
        Self::User,
        Self::Models,
        Self::Model,
        Self::ModelActivate,
        Self::Experiments,
        Self::Experiment,
        Self::ExperimentResults,
        Self::Export,
        Self::Backup,
        Self::Liveness,
        Self::Readiness,
        Self::Metrics,
        Self::OpenApi,
        Self::Docs,
        Self::DocsFile,
        Self::Playground,
        Self::PlaygroundShoppers,
        Self::PlaygroundFile,
    ];

    /// The path, in the form of actix-web's router.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Rank => "/v1/rank",
            Self::RankBatch => "/v1/rank/batch",
            Self::Events => "/v1/events",
            Self::Items => "/v1/items",
            Self::Item => "/v1/items/{id}",
            Self::ItemImage => "/v1/items/{id}/image",
            Self::ItemSimilar => "/v1/items/{id}/similar",
            Self::User => "/v1/users/{id}",
            Self::Models => "/v1/models",
            Self::Model => "/v1/models/{version}",
            Self::ModelActivate => "/v1/models/{version}/activate",
            Self::Experiments => "/v1/experiments",
            Self::Experiment => "/v1/experiments/{name}",
            Self::ExperimentResults => "/v1/experiments/{name}/results",
            Self::Export => "/v1/export",
            Self::Backup => "/v1/backup",
            Self::Liveness => health::LIVENESS,
            Self::Readiness => health::READINESS,
            Self::Metrics => metrics::METRICS,
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs",
            Self::DocsFile => "/docs/{file:.*}",
            Self::Playground => "/",
            Self::PlaygroundShoppers => "/playground/shoppers",
            Self::PlaygroundFile => "/playground/{file}",
        }
    }

    /// The methods, as an `Allow` header lists them.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Rank | Self::RankBatch | Self::Events | Self::Items | Self::ModelActivate => {
                "POST"
            }
            Self::Models => "GET, HEAD, POST",
            Self::Model => "DELETE",
            Self::Experiment => "GET, HEAD, PUT, DELETE",
            Self::Item | Self::User => "GET, HEAD, PUT, PATCH, DELETE",
            _ => "GET, HEAD",
        }
    }

    /// The path among those without a parameter that is `path`: known without a router.
    pub(crate) fn fixed(path: &str) -> Option<&'static str> {
        const FIXED: [Endpoint; 15] = [
            Endpoint::Rank,
            Endpoint::RankBatch,
            Endpoint::Events,
            Endpoint::Items,
            Endpoint::Models,
            Endpoint::Experiments,
            Endpoint::Export,
            Endpoint::Backup,
            Endpoint::Liveness,
            Endpoint::Readiness,
            Endpoint::Metrics,
            Endpoint::OpenApi,
            Endpoint::Docs,
            Endpoint::Playground,
            Endpoint::PlaygroundShoppers,
        ];
        FIXED.into_iter().map(Self::path).find(|fixed| *fixed == path)
    }

    /// Whether the path is asked by machines all the time, so that logging it would bury the rest.
    pub(crate) fn is_probe(path: &str) -> bool {
        [Self::Liveness, Self::Readiness, Self::Metrics].iter().any(|probe| probe.path() == path)
    }

    /// The resource at this path; a method it does not take is answered 405.
    pub(crate) fn resource(self) -> Resource {
        plugrank_http::resource(self.path(), self.allow())
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn only_health_and_metrics_paths_are_probes() {
        let probes = Endpoint::ALL.into_iter().filter(|e| Endpoint::is_probe(e.path())).count();
        assert_eq!(probes, 3);
        assert!(!Endpoint::is_probe("/v1/rank"));
    }

    #[test]
    fn paths_without_parameters_are_matched_exactly() {
        for path in Endpoint::ALL.map(Endpoint::path) {
            assert_eq!(Endpoint::fixed(path).is_some(), !path.contains('{'), "{path}");
        }
        assert_eq!(Endpoint::fixed("/v1/ranks"), None);
    }
}
