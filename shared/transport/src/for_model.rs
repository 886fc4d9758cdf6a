//! A service that is asked for one model.

use std::sync::Arc;

use async_trait::async_trait;
use plugrank_contract::{Call, CallError, Context};

use crate::Service;

/// A service whose calls name a model; without one they go as they come.
#[derive(Clone, Debug)]
pub struct ForModel<S> {
    service: S,
    model: Option<Arc<str>>,
}

impl<S> ForModel<S> {
    /// Names `model` in every call of `service`.
    #[must_use]
    pub fn new(service: S, model: Option<Arc<str>>) -> Self {
        Self { service, model }
    }
}

#[async_trait]
impl<S: Service<C>, C: Call> Service<C> for ForModel<S> {
    async fn call(&self, mut context: Context, call: C) -> Result<C::Reply, CallError> {
        if let Some(model) = &self.model {
            context.model = Some(Arc::clone(model));
        }
        self.service.call(context, call).await
    }
}
