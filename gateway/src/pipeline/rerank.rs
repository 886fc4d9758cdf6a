//! Third stage: the final order.

use std::sync::Arc;

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{
    CallError,
    reranking::{Rerank, Reranked},
};

use super::{CandidateSet, Degraded, Fallback, Placed, RankRun, stage::stage};

/// Adds at most `k` places in their final order: retrieval's where nothing was scored, that of what the
/// candidates are worth where re-ranking fails.
pub(super) async fn rerank(run: &mut RankRun<'_>, set: &mut CandidateSet) {
    let k = run.query.k;
    let Some(ctr) = set.ctr.clone() else { return set.place_as_retrieved(k) };
    if run.plan.reranking > Rung::Full {
        let rung = run.plan.reranking;
        run.degraded.push(Degraded::planned(
            Stage::Reranking,
            rung,
            run.plan.cause(Stage::Reranking),
        ));
        return set.place_by_worth(k);
    }
    let (_, seed) = run.info.request_id.as_u64_pair();
    let call = Rerank {
        items: set.items.clone(),
        ctr: Arc::clone(&ctr),
        worth: set.value.as_ref().map(|value| Arc::clone(&value.values)),
        facts: set.facts.take(),
        surface: Arc::clone(&run.query.surface.name),
        k,
        before: u32::try_from(run.query.shown.len()).unwrap_or(u32::MAX),
        diversity: run.query.diversity,
        explain: run.query.explain,
        as_of: run.query.as_of,
        seed,
    };
    let in_full = run.gateway.exposures.in_full(run.info.request_id);
    let logged = in_full.then(|| Rerank { explain: false, ..call.clone() });
    let client = &run.model.clients.rerank;
    let check = |reply: &Reranked| check(reply, ctr.len(), k);
    match stage(run, Stage::Reranking, client, call, check).await {
        Ok(reply) => {
            let partial = |rule| Degraded::partial(Stage::Reranking, Fallback::RuleSkipped, rule);
            run.degraded.extend(reply.skipped.into_iter().map(partial));
            let placed = reply.places.into_iter().map(|place| Placed {
                candidate: place.candidate,
                score: Some(place.score),
                rule: place.rule,
                propensity: place.propensity,
            });
            set.moves = reply.moves;
            set.reranked = logged;
            set.places = placed.collect();
        }
        Err(error) => {
            run.degraded.push(Degraded::by_error(Stage::Reranking, error, Rung::CtrOrder));
            set.place_by_worth(k);
        }
    }
}

/// The guarantee of the stage: at most `k` of the candidates, none twice, with finite scores.
fn check(reply: &Reranked, candidates: usize, k: u32) -> Result<(), CallError> {
    if reply.places.len() > k as usize {
        let got = reply.places.len();
        return Err(CallError::internal(format!("{got} items where {k} were asked for")));
    }
    let mut met = vec![false; candidates];
    for place in &reply.places {
        match met.get_mut(place.candidate as usize) {
            Some(met) if !*met => *met = true,
            _ => {
                let candidate = place.candidate;
                let message = format!("candidate {candidate} is none, or came twice");
                return Err(CallError::internal(message));
            }
        }
        if !place.score.is_finite() {
            let candidate = place.candidate;
            let message = format!("candidate {candidate} has a score that is no number");
            return Err(CallError::internal(message));
        }
    }
    Ok(())
}
