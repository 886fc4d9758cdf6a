//! For explain: what the host model alone makes of the placed items.

use std::sync::Arc;

use plugrank_contract::{
    Context, Deadline, ItemId, ItemList,
    embedding::Tiers,
    scoring::{ModelKind, Score, TaskScores},
};

use super::{CandidateSet, RankRun};

/// Adds the probabilities that the ID-based model gives the placed items, in the order of the places,
/// where there is time left. Nothing is added where that model scored anyway, or the bundle has none.
pub(super) async fn add(run: &RankRun<'_>, set: &mut CandidateSet) {
    if set.ctr.is_none() || set.kind != Some(ModelKind::Unified) || set.places.is_empty() {
        return;
    }
    let ids: Vec<ItemId> = set.places.iter().filter_map(|placed| set.id(placed).cloned()).collect();
    if ids.len() != set.places.len() {
        return;
    }
    let items = ItemList::named(ids);
    let call = Score {
        user_id: run.query.user_id.clone(),
        user: set.user_read.clone(),
        as_of: run.query.as_of,
        model: ModelKind::Idrec,
        tiers: Tiers::Cached,
        facts_for: 0,
        value: None,
        explain: false,
        rule_inputs: Arc::default(),
        given: run.query.given.as_ref().map(|given| given.for_items(&items)),
        items,
    };
    let deadline = Deadline::at(run.budget.deadline());
    let context = Context {
        model: None,
        request_id: run.info.request_id,
        deadline,
        traceparent: run.info.traceparent(),
        tracestate: run.info.tracestate.clone(),
    };
    let answer = deadline.limit(run.model.clients.score.call(context, call)).await;
    let Some(Ok(scored)) = answer else { return };
    if scored.model != ModelKind::Idrec || scored.ctr.len() != set.places.len() {
        return;
    }
    set.without_ppm = match scored.scores.is_empty() {
        true => vec![TaskScores { task: "ctr".into(), probabilities: scored.ctr }],
        false => scored.scores,
    };
}
