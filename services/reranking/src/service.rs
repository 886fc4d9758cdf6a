//! The service: looks up what the rules read, and applies them.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context,
    reranking::{MAX_DIVERSITY, Place, Rerank, Reranked},
};
use plugrank_items::{ItemTable, RecordTable};
use plugrank_settings::{SettingsError, check};
use plugrank_transport::Service;

use crate::{
    Facts, RerankingOptions,
    facts::ordered,
    order::by_click_probability,
    place::FilledPlace,
    rules::{self, Field, Rule},
    selection::select,
    similarity::Similarity,
};

/// What re-ranking is made of.
pub struct RerankingParts {
    /// Categories, ages and vectors of items; `None` in a process of its own, where they come with
    /// the scores.
    pub items: Option<ItemFacts>,
    /// Settings.
    pub options: RerankingOptions,
}

/// Where the process has what the rules read.
#[derive(Clone)]
pub struct ItemFacts {
    /// Categories and ages.
    pub items: Arc<ItemTable>,
    /// Item vectors, where there are any.
    pub records: Option<Arc<RecordTable>>,
}

/// Orders candidates for display.
pub struct RerankingService {
    items: Option<ItemFacts>,
    rules: Vec<Box<dyn Rule>>,
    options: RerankingOptions,
}

impl RerankingService {
    /// A service over the process's item table, or over what comes with the scores.
    ///
    /// # Errors
    /// When a setting is impossible.
    pub fn new(parts: RerankingParts) -> Result<Self, SettingsError> {
        let RerankingParts { items, options } = parts;
        check(&options).map_err(SettingsError::Problems)?;
        Ok(Self { items, rules: rules::all(&options), options })
    }

    fn rerank(&self, call: &Rerank) -> Reranked {
        let order = self.order(call);
        if order.is_empty() {
            return Reranked::default();
        }
        let ctr: Vec<f32> = order.iter().map(|place| call.ctr[*place as usize]).collect();
        let k = (call.k as usize).min(order.len());
        let pool = self.options.pool.max(k).min(order.len());
        let mut skipped = Vec::new();
        let (facts, similarity) = self.facts(call, &order, pool, &mut skipped);
        let field = Field {
            ctr: &ctr,
            facts,
            pool,
            similarity,
            k,
            as_of: call.as_of,
            seed: call.seed,
            diversity: call.diversity,
        };
        let place = |place: FilledPlace| Place {
            candidate: order[place.item],
            score: place.score,
            rule: place.rule,
        };
        let places = select(&field, &self.rules).into_iter().map(place).collect();
        Reranked { places, skipped }
    }

    /// The order by click probability. Of an item that is named twice, the better one stays; a list
    /// that was resolved by this process names none twice.
    fn order(&self, call: &Rerank) -> Vec<u32> {
        let mut order = by_click_probability(&call.items, &call.ctr);
        if self.items.is_none() {
            let ids: Vec<_> = call.items.ids().collect();
            let mut met = HashSet::with_capacity(ids.len());
            order.retain(|place| met.insert(ids[*place as usize]));
        }
        order
    }

    /// What is known about the candidates in their order. What is missing is said in `skipped`.
    fn facts<'a>(
        &'a self,
        call: &'a Rerank,
        order: &'a [u32],
        pool: usize,
        skipped: &mut Vec<String>,
    ) -> (Facts<'a>, Similarity) {
        // A bundle may have no vectors at all; then categories are what is compared.
        let has_vectors = match (&call.facts, &self.items) {
            (Some(facts), _) => facts.vectors.dim() > 0,
            (None, Some(own)) => {
                own.records.as_ref().is_none_or(|records| records.layout().vector().is_some())
            }
            (None, None) => true,
        };
        let diverse = call.diversity.map_or(self.options.lambda < 1.0, |diversity| diversity > 0.0);
        let compared = pool > 1 && diverse && has_vectors;
        let (facts, similarity) = match (&call.facts, &self.items) {
            (Some(facts), _) => {
                let similarity = Similarity::of_facts(facts, &order[..pool]);
                (Facts::Given { facts, order }, similarity)
            }
            (None, Some(own)) => {
                let view = own.items.view();
                let indices = ordered(&call.items.indices_in(&own.items), order);
                let similarity = match own.records.as_ref().filter(|_| compared) {
                    Some(records) => Similarity::of_table(&records.view(), &view, &indices[..pool]),
                    None => Similarity::by_categories(),
                };
                (Facts::Table { view, indices }, Ok(similarity))
            }
            (None, None) => {
                skipped.push(
                    "category cap, diversity and exploration: nothing is known about the items; it \
                     comes with the scores"
                        .to_owned(),
                );
                return (Facts::None, Similarity::by_categories());
            }
        };
        let similarity = similarity.unwrap_or_else(|reason| {
            skipped
                .push(format!("diversity by vectors: {reason}; categories were compared instead"));
            Similarity::by_categories()
        });
        let lacking = pool - similarity.with_vector().min(pool);
        if compared && lacking > 0 && skipped.is_empty() {
            skipped.push(format!(
                "diversity by vectors for {lacking} of {pool} items: they have none; categories \
                 were compared instead"
            ));
        }
        (facts, similarity)
    }
}

#[async_trait]
impl Service<Rerank> for RerankingService {
    async fn call(&self, context: Context, call: Rerank) -> Result<Reranked, CallError> {
        if call.k == 0 {
            return Err(CallError::invalid("`k` is 0; ask for at least 1 item"));
        }
        if call.diversity.is_some_and(|diversity| !(0.0..=MAX_DIVERSITY).contains(&diversity)) {
            return Err(CallError::invalid("`diversity` must be 0 to 0.99"));
        }
        if call.items.len() != call.ctr.len() {
            let (items, ctr) = (call.items.len(), call.ctr.len());
            return Err(CallError::invalid(format!("{ctr} entries of `ctr` for {items} `items`")));
        }
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before re-ranking was begun"));
        }
        Ok(self.rerank(&call))
    }
}
