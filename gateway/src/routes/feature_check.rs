//! Asks the active model whether it can read features, before they are stored.

use std::time::Duration;

use plugrank_contract::{
    Context, Deadline, FeatureValues,
    scoring::{CheckFeatures, FeatureOwner, WrongFeature},
};

use crate::{
    Gateway,
    observe::RequestInfo,
    problem::{FieldError, Problem},
};

/// How long the answer may take.
const TIME: Duration = Duration::from_secs(5);

/// What of the features of each item or user the active model cannot read; `None` for those it can.
pub(crate) async fn wrong_features(
    gateway: &Gateway,
    info: &RequestInfo,
    owner: FeatureOwner,
    values: Vec<FeatureValues>,
) -> Result<Vec<Option<WrongFeature>>, Problem> {
    if values.iter().all(FeatureValues::is_empty) {
        return Ok(vec![None; values.len()]);
    }
    let context = Context {
        model: None,
        request_id: info.request_id,
        deadline: Deadline::after(TIME),
        traceparent: info.traceparent(),
        tracestate: info.tracestate.clone(),
    };
    let count = values.len();
    let call = CheckFeatures { owner, values };
    let checked = gateway.models.active().clients.check_features.call(context, call).await;
    match checked {
        Ok(checked) if checked.wrong.len() == count => Ok(checked.wrong),
        Ok(_) => Err(Problem::internal("the model did not check all features")),
        Err(error) => Err(Problem::unavailable(format!(
            "the model could not be asked whether it can read the features ({}); nothing was \
             written, send it again",
            error.message
        ))),
    }
}

/// The same for one item or user, whose features are the body's `features`.
pub(crate) async fn check(
    gateway: &Gateway,
    info: &RequestInfo,
    owner: FeatureOwner,
    values: &FeatureValues,
) -> Result<(), Problem> {
    let wrong = wrong_features(gateway, info, owner, vec![values.clone()]).await?;
    match wrong.into_iter().flatten().next() {
        None => Ok(()),
        Some(wrong) => Err(problem(wrong)),
    }
}

/// What is wrong with a body whose `features` have it.
pub(crate) fn problem(WrongFeature { name, detail }: WrongFeature) -> Problem {
    // RFC 6901: `~` and `/` of a name are escaped.
    let name = name.replace('~', "~0").replace('/', "~1");
    Problem::invalid(vec![FieldError::at_pointer(format!("/features/{name}"), detail)])
}
