//! Second stage: click probabilities.

use plugrank_budget::Stage;
use plugrank_contract::{
    CallError,
    reranking::ScoredCandidate,
    retrieval::Candidate,
    scoring::{Score, Scored},
};

use super::{Degraded, Fallback, Run, stage};
use crate::api::rank::Coverage;

impl Run<'_> {
    /// The candidates with their click probabilities, in the same order; `None` when they could
    /// not be scored, with the reason in `degraded`.
    pub(super) async fn score(&mut self, candidates: &[Candidate]) -> Option<Vec<ScoredCandidate>> {
        let call = Score {
            user_id: self.query.user_id.clone(),
            item_ids: candidates.iter().map(|candidate| candidate.item_id.clone()).collect(),
            as_of: self.query.as_of,
            model: self.gateway.model,
        };
        let client = &self.gateway.clients.score;
        let expected = candidates.len();
        let check = |reply: &Scored| match reply.ctr.len() {
            got if got == expected => Ok(()),
            got => Err(CallError::internal(format!("{got} scores for {expected} candidates"))),
        };
        let result =
            stage::run(&mut self.budget, Stage::Scoring, self.info, client, call, check).await;
        match result.value {
            Ok(reply) => Some(self.take_scores(candidates, reply)),
            Err(error) => {
                let fallback = Fallback::RetrievalOrder;
                self.ranking.degraded.push(Degraded::by_error(Stage::Scoring, error, fallback));
                None
            }
        }
    }

    /// A score that is no number would stand anywhere in an order; it counts as the lowest.
    fn take_scores(&mut self, candidates: &[Candidate], reply: Scored) -> Vec<ScoredCandidate> {
        let coverage = reply.coverage;
        self.ranking.model = Some(reply.bundle);
        self.ranking.batch_rows = reply.batch_rows;
        self.ranking.coverage = Coverage {
            scored: coverage.rows,
            memory: coverage.memory,
            store: coverage.store,
            encoded: coverage.encoded,
            missing: coverage.missing,
            history: coverage.history,
            ..self.ranking.coverage
        };
        let broken = reply.ctr.iter().filter(|ctr| !ctr.is_finite()).count();
        if broken > 0 {
            let detail = format!("{broken} scores were no finite numbers");
            let degraded = Degraded::partial(Stage::Scoring, Fallback::ScoredLowest, detail);
            self.ranking.degraded.push(degraded);
        }
        let scored = |(candidate, ctr): (&Candidate, f32)| ScoredCandidate {
            item_id: candidate.item_id.clone(),
            ctr: if ctr.is_finite() { ctr } else { 0.0 },
            sources: candidate.sources.clone(),
        };
        candidates.iter().zip(reply.ctr).map(scored).collect()
    }
}
