//! The service: fetches what the rules read, and applies them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, ItemId,
    embedding::FetchVectors,
    reranking::{Rerank, Reranked, ScoredCandidate},
};
use plugrank_store::Store;
use plugrank_transport::{Client, Service};

use crate::{
    ItemFacts, Likeness, OptionsError, RerankingOptions,
    order::by_click_probability,
    pipeline::{Input, rerank},
};

/// What re-ranking is made of.
pub struct RerankingParts {
    /// Categories and ages of items.
    pub store: Arc<dyn Store>,
    /// Item vectors.
    pub vectors: Client<FetchVectors>,
    /// Settings.
    pub options: RerankingOptions,
}

/// Orders candidates for display.
pub struct RerankingService {
    store: Arc<dyn Store>,
    vectors: Client<FetchVectors>,
    options: RerankingOptions,
}

impl RerankingService {
    /// A service over a store and vectors.
    ///
    /// # Errors
    /// When a setting is impossible.
    pub fn new(parts: RerankingParts) -> Result<Self, OptionsError> {
        let RerankingParts { store, vectors, options } = parts;
        options.validate()?;
        Ok(Self { store, vectors, options })
    }

    /// Facts of all candidates; without them caps and exploration cannot be applied.
    async fn facts(
        &self,
        ids: &[ItemId],
        allowed: Option<Duration>,
    ) -> Result<Vec<ItemFacts>, String> {
        let items = within(allowed, self.store.items(ids)).await?.map_err(|e| e.to_string())?;
        if items.len() != ids.len() {
            return Err(format!("asked for {} items, got {}", ids.len(), items.len()));
        }
        Ok(ItemFacts::of(&items))
    }

    /// Likeness by vectors, where it is of use.
    async fn likeness(
        &self,
        context: &Context,
        ids: &[ItemId],
        allowed: Option<Duration>,
    ) -> Result<Likeness, String> {
        if ids.len() < 2 || self.options.diversity.lambda >= 1.0 {
            return Ok(Likeness::by_categories());
        }
        let call = FetchVectors { item_ids: ids.to_vec() };
        let context = match allowed {
            Some(allowed) => context.clone().within(allowed),
            None => context.clone(),
        };
        let fetched = within(allowed, self.vectors.call(context, call)).await?;
        let likeness = Likeness::by_vectors(&fetched.map_err(|e| e.to_string())?, ids.len())?;
        Ok(likeness)
    }

    /// Whether vectors were wanted for so many items but are not all there; then why not.
    fn vectors_lacking(&self, likeness: &Likeness, pool: usize) -> Option<String> {
        let lacking = pool - likeness.with_vector();
        if pool < 2 || self.options.diversity.lambda >= 1.0 || lacking == 0 {
            return None;
        }
        Some(format!(
            "diversity by vectors for {lacking} of {pool} items: they have none; categories were \
             compared instead"
        ))
    }
}

#[async_trait]
impl Service<Rerank> for RerankingService {
    async fn call(&self, context: Context, call: Rerank) -> Result<Reranked, CallError> {
        if call.k == 0 {
            return Err(CallError::invalid("`k` is 0; ask for at least 1 item"));
        }
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before re-ranking was begun"));
        }
        let candidates = by_click_probability(call.candidates);
        if candidates.is_empty() {
            return Ok(Reranked { items: Vec::new(), skipped: Vec::new() });
        }
        let k = (call.k as usize).min(candidates.len());
        let pool = self.options.pool.max(k).min(candidates.len());
        let ids: Vec<ItemId> = candidates.iter().map(id).collect();
        let share = self.options.fetch_time_share;
        let allowed = context.remaining().map(|left| left.mul_f64(share));
        let (facts, likeness) =
            tokio::join!(self.facts(&ids, allowed), self.likeness(&context, &ids[..pool], allowed));
        let mut skipped = Vec::new();
        let facts = facts.unwrap_or_else(|reason| {
            skipped.push(format!("category cap and exploration: {reason}"));
            Vec::new()
        });
        let likeness = match likeness {
            Ok(likeness) => {
                skipped.extend(self.vectors_lacking(&likeness, pool));
                likeness
            }
            Err(reason) => {
                skipped.push(format!(
                    "diversity by vectors: {reason}; categories were compared instead"
                ));
                Likeness::by_categories()
            }
        };
        let input = Input {
            candidates: &candidates,
            facts: &facts,
            likeness: &likeness,
            pool,
            k,
            as_of: call.as_of,
            seed: call.seed,
        };
        Ok(Reranked { items: rerank(&input, &self.options), skipped })
    }
}

fn id(candidate: &ScoredCandidate) -> ItemId {
    candidate.item_id.clone()
}

async fn within<F: Future>(allowed: Option<Duration>, work: F) -> Result<F::Output, String> {
    match allowed {
        None => Ok(work.await),
        Some(allowed) => tokio::time::timeout(allowed, work)
            .await
            .map_err(|_| format!("no answer within {} ms", allowed.as_millis())),
    }
}
