//! Ranks in the shadow: beside an answer, when it is written. No request waits for it, and it only uses
//! what is free.

use actix_web::web::{Bytes, Data};
use plugrank_budget::Budget;
use plugrank_transport::{expected_wait, in_turns};

use super::rank_query;
use crate::{
    Gateway, ServingModel,
    models::shadow::{Answer, ShadowAnswer},
    observe::RequestInfo,
    pipeline::{self, CandidateSet},
};

/// Has another ready model rank a request that was answered, where it is one of the share and there is time.
pub(super) fn consider(
    gateway: &Data<Gateway>,
    answered_by: &ServingModel,
    info: &RequestInfo,
    body: &Bytes,
    set: &CandidateSet,
) {
    if !gateway.shadow.takes(info.request_id) {
        return;
    }
    let (active, beside) = gateway.models.all_ready();
    let mut models = std::iter::once(active).chain(beside);
    let Some(model) = models.find(|model| model.version != answered_by.version) else {
        return;
    };
    let Some(leave) = gateway.shadow.leave(&model.version, expected_wait().is_zero()) else {
        return;
    };
    let (gateway, info, body) = (gateway.clone(), info.unrecorded(), body.clone());
    let answered = answer(set);
    actix_web::rt::spawn(async move {
        let ranked = in_turns(rank_with(&gateway, &model, &info, &body)).await;
        gateway.shadow.compare(&model.version, &answered, ranked.as_ref());
        drop(leave);
    });
}

/// The answer of a model; `None` when it has none.
async fn rank_with(
    gateway: &Gateway,
    model: &ServingModel,
    info: &RequestInfo,
    body: &[u8],
) -> Option<ShadowAnswer> {
    let query = rank_query::read(gateway, model, body, None).ok()?;
    let budget = Budget::start(query.budget, gateway.shares());
    let plan = gateway.controller.plan();
    let ranked = pipeline::rank(gateway, model, info, &query, plan, budget).await;
    if ranked.broken_model().is_some() {
        return None;
    }
    let seconds = ranked.spent.as_secs_f64();
    ranked.ranking.ok().map(|set| {
        let missing = f64::from(set.coverage.missing) / f64::from(set.coverage.scored.max(1));
        ShadowAnswer { answer: answer(&set), seconds, missing }
    })
}

fn answer(set: &CandidateSet) -> Answer {
    let item = |placed| Some((set.id(placed)?.clone(), set.ctr_of(placed)));
    set.places.iter().filter_map(item).collect()
}
