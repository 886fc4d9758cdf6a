//! First stage: candidates.

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{
    CallError,
    retrieval::{Candidate, DropReason, Retrieve},
};

use super::{Degraded, Fallback, Run};
use crate::api::rank::Coverage;

impl Run<'_> {
    /// The candidates, best retrieval order first. There is no rung below: without candidates
    /// there is nothing to rank.
    pub(super) async fn retrieve(&mut self) -> Result<Vec<Candidate>, CallError> {
        let query = self.query;
        let named = query.candidates.as_ref().map_or(0, Vec::len);
        let wanted = self.wanted_candidates();
        let call = Retrieve {
            user_id: query.user_id.clone(),
            limit: wanted.max(u32::try_from(named).unwrap_or(u32::MAX)),
            candidates: query.candidates.clone(),
            exclude: query.exclude.clone(),
            as_of: query.as_of,
        };
        let client = &self.gateway.clients.retrieve;
        let reply = self.stage(Stage::Retrieval, client, call, |_: &_| Ok(())).await?;
        for (source, why) in &reply.failed {
            let detail = format!("{}: {why}", super::source_name(*source));
            let degraded = Degraded::partial(Stage::Retrieval, Fallback::OtherSources, detail);
            self.ranking.degraded.push(degraded);
        }
        let unknown =
            reply.dropped.iter().filter(|dropped| dropped.reason == DropReason::Unknown).count();
        self.ranking.coverage = Coverage {
            candidates: count(reply.candidates.len()),
            unknown: count(unknown),
            dropped: reply.dropped_total,
            ..Coverage::default()
        };
        self.ranking.dropped = reply.dropped;
        Ok(reply.candidates)
    }

    /// How many candidates to ask for. What the caller names is ranked as a whole on every rung.
    fn wanted_candidates(&mut self) -> u32 {
        let (limit, k) = (self.gateway.candidate_limit, self.query.k);
        let fewer = self.gateway.fewer_candidates.min(limit);
        if !self.plan.fewer_candidates() || self.query.candidates.is_some() {
            return limit.max(k);
        }
        if self.plan.retrieval > Rung::Full {
            let rung = self.plan.retrieval;
            let planned = Degraded::planned(Stage::Retrieval, rung, self.plan.cause);
            self.ranking.degraded.push(planned);
        }
        fewer.max(k)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
