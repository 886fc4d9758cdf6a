//! Second stage: click probabilities.

use std::time::Duration;

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{
    CallError,
    embedding::Tiers,
    reranking::ScoredCandidate,
    retrieval::Candidate,
    scoring::{ModelKind, Score, Scored},
};

use super::{Degraded, Fallback, Run};
use crate::api::rank::Coverage;

impl Run<'_> {
    /// The candidates with their click probabilities, in the same order; `None` when they are not
    /// scored, with the reason in `degraded`.
    pub(super) async fn score(&mut self, candidates: &[Candidate]) -> Option<Vec<ScoredCandidate>> {
        let rung = self.plan.scoring;
        if rung == Rung::RetrievalOrder {
            self.planned(rung);
            return None;
        }
        let base = self.gateway.model;
        let call = Score {
            user_id: self.query.user_id.clone(),
            item_ids: candidates.iter().map(|candidate| candidate.item_id.clone()).collect(),
            as_of: self.query.as_of,
            model: if rung == Rung::Idrec { ModelKind::Idrec } else { base },
            tiers: if rung == Rung::MissingVectors { Tiers::Held } else { Tiers::All },
        };
        let client = &self.gateway.clients.score;
        let expected = candidates.len();
        let check = |reply: &Scored| match reply.ctr.len() {
            got if got == expected => Ok(()),
            got => Err(CallError::internal(format!("{got} scores for {expected} candidates"))),
        };
        match self.stage(Stage::Scoring, client, call, check).await {
            Ok(reply) => {
                let backlog = Duration::from_micros(u64::from(reply.load.backlog_us));
                self.gateway.admission.note_queue(backlog);
                self.name_rung(rung, &reply);
                Some(self.take_scores(candidates, reply))
            }
            Err(error) => {
                if let Some(ms) = error.retry_after_ms {
                    self.gateway.admission.note_queue(Duration::from_millis(u64::from(ms)));
                }
                let rung = Rung::RetrievalOrder;
                self.ranking.degraded.push(Degraded::by_error(Stage::Scoring, error, rung));
                None
            }
        }
    }

    fn planned(&mut self, rung: Rung) {
        let planned = Degraded::planned(Stage::Scoring, rung, self.plan.cause);
        self.ranking.degraded.push(planned);
    }

    /// Says where the scores come from, when they are not the best there could be.
    fn name_rung(&mut self, planned: Rung, reply: &Scored) {
        let fewer_took_effect = self.query.candidates.is_none();
        // A rung that changes nothing for this request is not one it stands on: the caller's
        // candidates are all scored, and the ID-based model alone reads no vectors.
        let took_effect = match planned {
            Rung::Full => false,
            Rung::FewerCandidates => fewer_took_effect,
            Rung::MissingVectors => reply.model == ModelKind::Unified,
            _ => reply.model == ModelKind::Idrec && self.gateway.model != ModelKind::Idrec,
        };
        if took_effect {
            self.planned(planned);
        } else if planned > Rung::FewerCandidates && fewer_took_effect {
            self.planned(Rung::FewerCandidates);
        }
        if reply.model == ModelKind::Idrec
            && let Some(fell) = &reply.fell
        {
            let fell = Degraded::by_error(Stage::Scoring, fell.clone(), Rung::Idrec);
            self.ranking.degraded.push(fell);
        }
        if let Some(late) = &reply.late {
            let late = CallError::deadline(late.clone());
            let late = Degraded::by_error(Stage::Scoring, late, Rung::MissingVectors);
            self.ranking.degraded.push(late);
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
