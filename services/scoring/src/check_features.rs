//! Whether the model can read feature values, asked before they are stored.

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context,
    scoring::{CheckFeatures, FeatureOwner, FeaturesChecked, WrongFeature},
};
use plugrank_transport::Service;

use crate::ScoringService;

#[async_trait]
impl Service<CheckFeatures> for ScoringService {
    async fn call(&self, _: Context, call: CheckFeatures) -> Result<FeaturesChecked, CallError> {
        let encoder = self.features.encoder();
        let wrong = call.values.iter().map(|values| {
            let wrong = match call.owner {
                FeatureOwner::Item => encoder.wrong_item(values),
                FeatureOwner::User => encoder.wrong_user(values),
            };
            wrong.map(|wrong| WrongFeature { name: wrong.column, detail: wrong.detail })
        });
        Ok(FeaturesChecked { wrong: wrong.collect() })
    }
}
