//! The ID-based model: history and features from the store, then the graph. No vector is read.

use std::sync::Arc;

use plugrank_contract::{
    CallError, Context, History, User,
    scoring::{Coverage, ModelKind, Score, Scored},
};
use plugrank_inference::batcher::sources::HistoryBlock;
use tokio::time::{Instant, timeout_at};

use crate::{
    ScoringService,
    feature_table::Looked,
    graph_inputs::{Facts, GraphSchema},
    service::earlier,
};

/// What the store gave of a user in time.
#[derive(Default)]
struct Read {
    history: History,
    history_features: Looked,
    profile: Option<Arc<User>>,
    late: Option<String>,
}

impl ScoringService {
    /// Every part of what the graph reads has something to stand in for it, so that a slow store
    /// costs quality and not the answer: no history, no profile, features as last known.
    pub(crate) async fn score_idrec(
        &self,
        context: &Context,
        call: &Score,
    ) -> Result<Scored, CallError> {
        let Some(scorer) = &self.idrec else {
            return Err(CallError::internal("there is no idrec graph to run"));
        };
        let schema = &scorer.schema;
        let rows = call.item_ids.len();
        scorer.in_time(rows, context.deadline)?;
        let read_by = earlier(context, scorer.ready_in(rows) + self.options.answer_margin);
        let candidates = async {
            match schema.candidate_features() {
                true => self.table.of(&call.item_ids, read_by).await,
                false => Ok(Looked::default()),
            }
        };
        let (read, candidates) =
            futures::future::try_join(self.read_user(schema, call, read_by), candidates).await?;
        let user_features = self.features.user(&call.user_id, read.profile.as_deref());
        let entries = &read.history.entries;
        let block = HistoryBlock { entries, time: schema.time };
        let facts = Facts {
            candidates: rows,
            candidate_features: &candidates.ids,
            history: entries,
            history_len: entries.len(),
            history_features: &read.history_features.ids,
            user_features: &user_features,
            recency_bucket: block.recency_bucket(call.as_of),
            ..Facts::default()
        };
        let outcome = scorer.score(&facts, context.deadline).await?;
        // No vector is read, so none can be missing.
        let history = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let coverage = Coverage { history, ..Coverage::default() };
        let late = read.late.or(read.history_features.late).or(candidates.late);
        Ok(self.scored(ModelKind::Idrec, outcome, coverage, late))
    }

    async fn read_user(
        &self,
        schema: &GraphSchema,
        call: &Score,
        by: Option<Instant>,
    ) -> Result<Read, CallError> {
        let user = &call.user_id;
        let lengths = self.lengths;
        let reads = async {
            let history = self.store.history(user, call.as_of, lengths.clicks, lengths.impressions);
            let profile = async {
                if schema.user_features() { self.store.user(user).await } else { Ok(None) }
            };
            futures::future::try_join(history, profile).await
        };
        let read = match by {
            None => Ok(reads.await),
            Some(by) => timeout_at(by, reads).await,
        };
        let (history, profile, late) = match read {
            Ok(Ok((history, profile))) => (history, profile, None),
            Ok(Err(error)) => (History::default(), None, Some(format!("user `{user}`: {error}"))),
            Err(_) => {
                (History::default(), None, Some(format!("user `{user}` was not read in time")))
            }
        };
        let history_features = if schema.history_features() {
            let items: Vec<_> = history.entries.iter().map(|entry| entry.item_id.clone()).collect();
            self.table.of(&items, by).await?
        } else {
            Looked::default()
        };
        Ok(Read { history, history_features, profile, late })
    }
}
