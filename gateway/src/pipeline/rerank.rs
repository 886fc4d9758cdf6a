//! Third stage: the final order.

use std::collections::HashSet;

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{
    CallError, ItemId,
    reranking::{Rerank, Reranked, ScoredCandidate},
};

use super::{
    Degraded, Fallback, Run,
    order::{self, Placed},
};

impl Run<'_> {
    /// At most `k` items in their final order; by click probability when re-ranking fails.
    pub(super) async fn rerank(&mut self, candidates: Vec<ScoredCandidate>) -> Vec<Placed> {
        let k = self.query.k;
        if self.plan.reranking > Rung::Full {
            let rung = self.plan.reranking;
            let planned = Degraded::planned(Stage::Reranking, rung, self.plan.cause);
            self.ranking.degraded.push(planned);
            return order::by_ctr(candidates, k);
        }
        let (_, seed) = self.info.request_id.as_u64_pair();
        let call = Rerank { candidates: candidates.clone(), k, as_of: self.query.as_of, seed };
        let client = &self.gateway.clients.rerank;
        let check = |reply: &Reranked| check(reply, &candidates, k);
        let result = self.stage(Stage::Reranking, client, call, check).await;
        match result {
            Ok(reply) => {
                let skipped = reply
                    .skipped
                    .into_iter()
                    .map(|rule| Degraded::partial(Stage::Reranking, Fallback::RuleSkipped, rule));
                self.ranking.degraded.extend(skipped);
                reply.items.into_iter().map(Placed::from).collect()
            }
            Err(error) => {
                let degraded = Degraded::by_error(Stage::Reranking, error, Rung::CtrOrder);
                self.ranking.degraded.push(degraded);
                order::by_ctr(candidates, k)
            }
        }
    }
}

/// The promise of the stage: at most `k` of the candidates, none twice, with finite scores.
fn check(reply: &Reranked, candidates: &[ScoredCandidate], k: u32) -> Result<(), CallError> {
    if reply.items.len() > k as usize {
        let got = reply.items.len();
        return Err(CallError::internal(format!("{got} items where {k} were asked for")));
    }
    let mut open: HashSet<&ItemId> = candidates.iter().map(|one| &one.item_id).collect();
    for item in &reply.items {
        if !open.remove(&item.item_id) {
            let id = &item.item_id;
            return Err(CallError::internal(format!("item {id} is no candidate, or came twice")));
        }
        if !item.score.is_finite() || !item.ctr.is_finite() {
            let id = &item.item_id;
            return Err(CallError::internal(format!("item {id} has a score that is no number")));
        }
    }
    Ok(())
}
