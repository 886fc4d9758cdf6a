//! The unified model: records and the user's state from the embedding service, then the graph.

use plugrank_contract::{
    CallError, Context,
    embedding::{Fetch, Fetched, RecordOrigin, Tiers},
    scoring::{Coverage, ModelKind, Score, Scored},
};

use crate::{ScoringService, feature_table::Looked, graph_inputs::Facts, service::earlier};

impl ScoringService {
    pub(crate) async fn score_unified(
        &self,
        context: &Context,
        call: &Score,
    ) -> Result<Scored, CallError> {
        let schema = &self.unified.schema;
        let candidates = call.item_ids.len();
        // Work that would come too late is not begun.
        self.unified.in_time(candidates, context.deadline)?;
        let wanted = Fetch {
            item_ids: call.item_ids.clone(),
            user: Some((call.user_id.clone(), call.as_of)),
            tiers: call.tiers,
        };
        // The run needs its time too; what is not fetched by then is a missing record.
        let kept = self.unified.ready_in(candidates) + self.options.answer_margin;
        let fetch_by = earlier(context, kept);
        let fetched =
            self.embedding.call(Context { deadline: fetch_by, ..context.clone() }, wanted);
        let features = async {
            match call.tiers {
                _ if !schema.candidate_features() => Ok(Looked::default()),
                Tiers::Held => Ok(self.table.held(&call.item_ids)),
                Tiers::All => self.table.of(&call.item_ids, fetch_by).await,
            }
        };
        let (fetched, features) = futures::future::try_join(fetched, features).await?;
        self.check(&fetched, call)?;
        schema.check_records(&fetched.items, candidates)?;
        let state = fetched.user.as_ref();
        let state = state.ok_or_else(|| CallError::internal("no user state was fetched"))?;
        let facts = Facts {
            candidates,
            records: Some(&fetched.items),
            candidate_features: &features.ids,
            state: &state.outputs,
            history_len: state.history_len as usize,
            recency_bucket: state.recency_bucket,
            ..Facts::default()
        };
        let outcome = self.unified.score(&facts, context.deadline).await?;
        let coverage = coverage(&fetched.origins, state.history_len);
        let late = fetched.late.or(features.late);
        Ok(self.scored(ModelKind::Unified, outcome, coverage, late))
    }

    fn check(&self, fetched: &Fetched, call: &Score) -> Result<(), CallError> {
        if fetched.bundle != self.version {
            return Err(CallError::unavailable(format!(
                "the embedding service runs bundle {}, scoring runs {}; roll both out",
                fetched.bundle, self.version
            )));
        }
        if fetched.origins.len() != call.item_ids.len() {
            let (got, asked) = (fetched.origins.len(), call.item_ids.len());
            return Err(CallError::internal(format!("{got} records for {asked} candidates")));
        }
        Ok(())
    }
}

fn coverage(origins: &[RecordOrigin], history: u32) -> Coverage {
    let mut coverage = Coverage { history, ..Coverage::default() };
    for origin in origins {
        *match origin {
            RecordOrigin::Memory => &mut coverage.memory,
            RecordOrigin::Store => &mut coverage.store,
            RecordOrigin::Encoded => &mut coverage.encoded,
            RecordOrigin::Missing => &mut coverage.missing,
        } += 1;
    }
    coverage
}
