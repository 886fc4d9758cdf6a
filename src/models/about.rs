//! Calls about the models of a process: which bundles there are, loading one, how far that is.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use anyhow::ensure;
use async_trait::async_trait;
use plugrank_background::beside;
use plugrank_contract::{
    Call, CallError, Context,
    loading::{
        BundlesListed, CheckBundle, CheckedBundle, ListBundles, ListModels, LoadBundle,
        ModelsListed,
    },
};
use plugrank_transport::{Client, Service, server::route};

use super::{
    folder,
    role::{Named, RoleCalls, RoleModels},
};
use crate::wiring::Model;

/// Adds the calls of a role, each answered by the model it names, and those about its models.
pub fn role_routes<T: RoleCalls>(models: &Arc<RoleModels<T>>, config: &mut ServiceConfig) {
    T::routes(models, config);
    route::<CheckBundle>(config, about(models));
    route::<ListBundles>(config, about(models));
    route::<LoadBundle>(config, about(models));
    route::<ListModels>(config, about(models));
}

fn about<T: RoleCalls, C: Call>(models: &Arc<RoleModels<T>>) -> Client<C>
where
    AboutModels<T>: Service<C>,
{
    Arc::new(AboutModels(Arc::clone(models)))
}

/// Answers calls about models.
struct AboutModels<T>(Arc<RoleModels<T>>);

#[async_trait]
impl<T: RoleCalls> Service<CheckBundle> for AboutModels<T> {
    async fn call(&self, _: Context, call: CheckBundle) -> Result<CheckedBundle, CallError> {
        let settings = self.0.settings().clone();
        let opened = tokio::task::spawn_blocking(move || {
            let model = beside(|| Model::open_folder(&settings, call.folder.as_deref()))?;
            let version = model.bundle.version().to_owned();
            let fits = version.bytes().all(|byte| byte.is_ascii_graphic());
            ensure!(
                fits,
                "its version {version:?} cannot be named in calls: use letters, digits, signs"
            );
            Ok(version)
        });
        let opened = opened.await.map_err(|error| CallError::internal(error.to_string()))?;
        let version = opened.map_err(|error| CallError::invalid(format!("{error:#}")))?;
        Ok(CheckedBundle { version })
    }
}

#[async_trait]
impl<T: RoleCalls> Service<ListBundles> for AboutModels<T> {
    async fn call(&self, _: Context, _: ListBundles) -> Result<BundlesListed, CallError> {
        let Some(path) = self.0.settings().models.folder.clone() else {
            return Ok(BundlesListed::default());
        };
        let found = tokio::task::spawn_blocking(move || folder::bundles(&path)).await;
        let found = found.map_err(|error| CallError::internal(error.to_string()))?;
        let found =
            found.map_err(|error| CallError::unavailable(format!("models.folder: {error}")))?;
        Ok(BundlesListed { folders: found.into_iter().map(|one| (one.name, one.mark)).collect() })
    }
}

#[async_trait]
impl<T: RoleCalls> Service<LoadBundle> for AboutModels<T> {
    async fn call(&self, _: Context, call: LoadBundle) -> Result<(), CallError> {
        let LoadBundle { folder, version } = call;
        self.0.load(Named { version, folder }).await.map_err(CallError::invalid)
    }
}

#[async_trait]
impl<T: RoleCalls> Service<ListModels> for AboutModels<T> {
    async fn call(&self, _: Context, _: ListModels) -> Result<ModelsListed, CallError> {
        Ok(self.0.here())
    }
}
