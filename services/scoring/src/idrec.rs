//! The ID-based model: history and features from the store, then the graph. No vector is read.

use std::sync::Arc;

use plugrank_contract::{
    CallError, Context, HistoryEntry,
    scoring::{ModelKind, RecordCoverage, Score, Scored},
};
use plugrank_inference::batcher::sources::HistoryBlock;

use crate::{ScoringService, graph_inputs::InputFacts, service::MOST_KEPT};

impl ScoringService {
    /// Every part of what the graph reads has something to stand in for it, so that a slow store
    /// costs quality and not the answer: no history and no profile.
    pub(crate) async fn score_idrec(
        &self,
        context: &Context,
        call: &Score,
    ) -> Result<Scored, CallError> {
        let Some(scorer) = &self.idrec else {
            return Err(CallError::internal("there is no idrec graph to run"));
        };
        let schema = &scorer.schema;
        let candidates = call.items.len();
        scorer.in_time(candidates, context.deadline)?;
        let kept = scorer.ready_in(candidates) + self.options.margin();
        let read_by = context.deadline.less(kept, MOST_KEPT);
        let (user, late) = self.users.read(&call.user_id, call.as_of, &call.user, read_by).await;
        let history: Vec<HistoryEntry> = user.recent(self.users.limits()).cloned().collect();
        let history_features = match schema.history_features() {
            true => history.iter().map(|entry| self.item_features(&entry.item_id)).collect(),
            false => Vec::new(),
        };
        let told = match schema.history_told() {
            true => self.features.encoder().history(&history),
            false => Vec::new(),
        };
        let block = HistoryBlock { entries: &history, time: schema.time };
        let indices = call.items.shared_indices_in(&self.items);
        let facts = Arc::new(InputFacts {
            candidates,
            candidate_features: self.candidate_features(scorer, &indices, call),
            recency_bucket: block.recency_bucket(call.as_of),
            history_len: history.len(),
            history_features,
            told,
            user_features: self.features.encoder().user(&call.user_id, user.profile.as_deref()),
            request_features: self.request_features(scorer, call),
            given: self.given_rows(scorer, call),
            history,
            ..InputFacts::default()
        });
        let outcome = scorer.score(&facts, context.deadline).await?;
        // No vector is read, so none can be missing.
        let history = u32::try_from(facts.history_len).unwrap_or(u32::MAX);
        let coverage = RecordCoverage { history, ..RecordCoverage::default() };
        let value = self.value(call, &indices, &outcome);
        let order = value.as_ref().map_or(&outcome.ctr, |value| &value.values);
        let rank_facts = self.rank_facts(call, order, None);
        let scored = self.scored(ModelKind::Idrec, outcome, coverage, late)?;
        Ok(Scored { facts: rank_facts, value, ..scored })
    }
}
