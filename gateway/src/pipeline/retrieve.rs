//! First stage: candidates.

use std::sync::Arc;

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{CallError, retrieval::Retrieve};

use super::{CandidateSet, Degraded, Fallback, Given, RankRun, stage::stage};
use crate::api::rank::Coverage;

/// The candidates, best retrieval order first. There is no rung below: without candidates there is
/// nothing to rank.
pub(super) async fn retrieve(run: &mut RankRun<'_>) -> Result<CandidateSet, CallError> {
    let query = run.query;
    let named = query.candidates.as_ref().map_or(0, plugrank_contract::ItemList::len);
    let wanted = wanted_candidates(run);
    let call = Retrieve {
        user_id: query.user_id.clone(),
        limit: wanted.max(u32::try_from(named).unwrap_or(u32::MAX)),
        candidates: query.candidates.clone(),
        exclude: query.exclude.clone(),
        shown: Arc::clone(&query.shown),
        context: query.context.clone(),
        recent: query.given.as_ref().and_then(Given::recent).cloned(),
        surface: Arc::clone(&query.surface.name),
        filters: query.filters.clone(),
        as_of: query.as_of,
        explain: query.explain,
    };
    let client = &run.model.clients.retrieve;
    let reply = stage(run, Stage::Retrieval, client, call, |reply| {
        match (reply.sources.len(), reply.candidates.len()) {
            (sources, candidates) if sources == candidates => Ok(()),
            (sources, candidates) => {
                Err(CallError::internal(format!("{sources} `sources` for {candidates} candidates")))
            }
        }
    })
    .await?;
    for (source, why) in &reply.failed {
        let detail = format!("{source}: {why}");
        let degraded = Degraded::partial(Stage::Retrieval, Fallback::OtherSources, detail);
        run.degraded.push(degraded);
    }
    let coverage = Coverage {
        candidates: u32::try_from(reply.candidates.len()).unwrap_or(u32::MAX),
        unknown: reply.unknown,
        dropped: reply.dropped_total,
        ..Coverage::default()
    };
    Ok(CandidateSet {
        items: reply.candidates,
        source_names: reply.source_names,
        sources: reply.sources,
        user: reply.user,
        dropped: reply.dropped,
        coverage,
        ..CandidateSet::default()
    })
}

/// How many candidates to ask for. What the caller names is ranked as a whole on every rung.
fn wanted_candidates(run: &mut RankRun<'_>) -> u32 {
    let (limit, fewer) = {
        let live = run.gateway.live.load();
        let limit = run.query.surface.candidates.unwrap_or(live.candidate_limit);
        (limit, live.budget.fewer_candidates.min(limit))
    };
    let k = run.query.k;
    if !run.plan.fewer_candidates() || run.query.candidates.is_some() {
        return limit.max(k);
    }
    if run.plan.retrieval > Rung::Full {
        let rung = run.plan.retrieval;
        run.degraded.push(Degraded::planned(
            Stage::Retrieval,
            rung,
            run.plan.cause(Stage::Retrieval),
        ));
    }
    fewer.max(k)
}
