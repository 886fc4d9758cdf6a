//! The unified model: records and the user's state, then the graph.

use std::sync::Arc;

use plugrank_contract::{
    CallError, Context,
    scoring::{ModelKind, RecordCoverage, Score, Scored},
};
use plugrank_encoding::{UnifiedAsk, UnifiedInputs};

use crate::{ScoringService, graph_inputs::InputFacts, service::MOST_KEPT};

impl ScoringService {
    pub(crate) async fn score_unified(
        &self,
        context: &Context,
        call: &Score,
    ) -> Result<Scored, CallError> {
        let candidates = call.items.len();
        // Work that would come too late is not begun.
        self.unified.in_time(candidates, context.deadline)?;
        // The run needs its time too; what is not fetched by then is a missing record.
        let kept = self.unified.ready_in(candidates) + self.options.margin();
        let ask = UnifiedAsk {
            items: &call.items,
            user_id: &call.user_id,
            user: &call.user,
            as_of: call.as_of,
            tiers: call.tiers,
            context,
            deadline: context.deadline.less(kept, MOST_KEPT),
        };
        let UnifiedInputs { records, user, late } = self.embeddings.fetch(ask).await?;
        let origins = records.origins;
        let coverage = RecordCoverage {
            rows: 0,
            memory: origins.memory,
            store: origins.store,
            encoded: origins.encoded,
            missing: origins.missing,
            history: user.state.history_len,
        };
        let facts = Arc::new(InputFacts {
            candidates,
            candidate_features: self.candidate_features(&self.unified, records.items(), call),
            history_len: user.state.history_len as usize,
            recency_bucket: user.recency_bucket,
            request_features: self.request_features(&self.unified, call),
            given: self.given_rows(&self.unified, call),
            records: Some(records),
            state: Some(user.state),
            ..InputFacts::default()
        });
        let outcome = self.unified.score(&facts, context.deadline).await?;
        let items = facts.records.as_ref().map_or(&[][..], |records| records.items());
        let value = self.value(call, items, &outcome);
        let order = value.as_ref().map_or(&outcome.ctr, |value| &value.values);
        let rank_facts = self.rank_facts(call, order, facts.records.as_ref());
        let scored = self.scored(ModelKind::Unified, outcome, coverage, late)?;
        Ok(Scored { facts: rank_facts, value, ..scored })
    }
}
