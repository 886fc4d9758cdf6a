//! The roles that have a model: how each is started over one, and its calls.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::try_join;
use plugrank_transport::server::route;

use super::role::{Named, RoleCalls, RoleModels, by_model};
use crate::wiring::{self, Catalog, Embedding, Model, Node, Retrieval, Scoring};

/// The encoders.
pub struct EmbeddingRole {
    calls: Embedding,
    /// Kept up to date for as long as the model is called.
    _catalog: Catalog,
}

/// The sources of candidates.
pub struct RetrievalRole {
    calls: Retrieval,
}

/// The model's graphs.
pub struct ScoringRole {
    calls: Scoring,
    _catalog: Catalog,
}

const NO_MODEL: &str = "this role has no model";

/// The encoders of a model: in other processes, or here.
async fn embedding(
    node: &Node,
    named: &Named,
    model: Option<&Model>,
    catalog: &Catalog,
) -> Result<Embedding> {
    match node.settings.peers.embedding_url.is_empty() {
        true => wiring::start_embedding(node, model.context(NO_MODEL)?, catalog).await,
        false => wiring::remote_embedding(node, Some(named.name())),
    }
}

#[async_trait(?Send)]
impl RoleCalls for EmbeddingRole {
    async fn start(node: &Node, named: &Named, model: Option<&Model>) -> Result<Self> {
        let model = model.context(NO_MODEL)?;
        let catalog = Catalog::load(node, Some(model), &named.version).await?;
        let calls = wiring::start_embedding(node, model, &catalog).await?;
        wiring::fill_records(node, &calls).await?;
        catalog.follow(node).await;
        Ok(Self { calls, _catalog: catalog })
    }

    fn routes(models: &Arc<RoleModels<Self>>, config: &mut ServiceConfig) {
        route(config, by_model(models, |role| Some(&role.calls.fetch)));
        route(config, by_model(models, |role| Some(&role.calls.fetch_vectors)));
        route(config, by_model(models, |role| Some(&role.calls.invalidate)));
    }
}

#[async_trait(?Send)]
impl RoleCalls for RetrievalRole {
    async fn start(node: &Node, named: &Named, model: Option<&Model>) -> Result<Self> {
        let catalog = Catalog::load(node, model, &named.version).await?;
        let embedding = embedding(node, named, model, &catalog).await?;
        wiring::fill_records(node, &embedding).await?;
        Ok(Self { calls: wiring::start_retrieval(node, model, &catalog, &embedding).await? })
    }

    fn routes(models: &Arc<RoleModels<Self>>, config: &mut ServiceConfig) {
        route(config, by_model(models, |role| Some(&role.calls.retrieve)));
        route(config, by_model(models, |role| Some(&role.calls.similar)));
        route(config, by_model(models, |role| Some(&role.calls.observe_events)));
        route(config, by_model(models, |role| Some(&role.calls.refresh_items)));
    }
}

#[async_trait(?Send)]
impl RoleCalls for ScoringRole {
    async fn start(node: &Node, named: &Named, model: Option<&Model>) -> Result<Self> {
        let catalog = Catalog::load(node, model, &named.version).await?;
        let embedding = embedding(node, named, model, &catalog).await?;
        let records = async {
            wiring::fill_records(node, &embedding).await?;
            catalog.follow(node).await;
            Ok(())
        };
        let model = model.context(NO_MODEL)?;
        let scores = wiring::start_scoring(node, model, &catalog, &embedding);
        let ((), calls) = try_join!(records, scores)?;
        Ok(Self { calls, _catalog: catalog })
    }

    fn routes(models: &Arc<RoleModels<Self>>, config: &mut ServiceConfig) {
        route(config, by_model(models, |role| Some(&role.calls.score)));
        route(config, by_model(models, |role| Some(&role.calls.check_features)));
        let (has_encoders, api) = models
            .of_active(|role| (role.calls.invalidate.is_some(), role.calls.open_inference.clone()));
        if has_encoders {
            route(config, by_model(models, |role| role.calls.invalidate.as_ref()));
        }
        if let Some(api) = api {
            (api.routes)(config);
        }
    }

    fn activated(&self) {
        if let Some(api) = &self.calls.open_inference {
            (api.activate)();
        }
    }
}
