//! The service: looks up what the rules read, and applies them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, ItemList,
    reranking::{Move, Place, Rerank, Reranked, RuleFacts},
    retrieval::{Name, SurfaceName},
    scoring::RuleInputs,
};
use plugrank_items::{ItemTable, RecordTable};
use plugrank_settings::{SettingsError, check};
use plugrank_transport::Service;

use crate::{
    Facts, RerankingOptions,
    facts::ordered,
    inputs::Inputs,
    order::by_value,
    place::FilledPlace,
    rule_list,
    rules::{Field, Rule, RuleOptions, Turn, diversity::Diversity},
    selection::{self, PlaceChance, select},
    similarity::Similarity,
};

/// What re-ranking is made of.
pub struct RerankingParts {
    /// Categories, ages and vectors of items; `None` in a process of its own, where they come with
    /// the scores.
    pub items: Option<ItemFacts>,
    /// Settings.
    pub options: RerankingOptions,
    /// Further rules of each surface.
    pub surfaces: BTreeMap<String, Vec<RuleOptions>>,
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
    /// Of requests that name no surface.
    plan: Plan,
    plans: HashMap<SurfaceName, Plan>,
    options: RerankingOptions,
}

/// The rules of a surface. Made once, at the start.
struct Plan {
    rules: Vec<Box<dyn Rule>>,
    inputs: RuleInputs,
}

impl Plan {
    fn new(options: &RerankingOptions, listed: &[RuleOptions]) -> Self {
        let mut inputs = Inputs::default();
        let rules = rule_list::all(options, listed, &mut inputs);
        Self { rules, inputs: inputs.done() }
    }

    /// The rules, with a request's own diversity in place of the settings'.
    fn with<'a>(&'a self, own: Option<&'a Diversity>) -> Vec<&'a dyn Rule> {
        let of = |rule: &'a dyn Rule| match own {
            Some(own) if rule.name() == own.name() => own as &dyn Rule,
            _ => rule,
        };
        self.rules.iter().map(|rule| of(&**rule)).collect()
    }
}

/// What the rules of requests read of items, where a surface has these rules beside those of every
/// request: for a caller that sends it along to a re-ranking role in another process.
#[must_use]
pub fn rule_inputs(options: &RerankingOptions, listed: &[RuleOptions]) -> RuleInputs {
    Plan::new(options, listed).inputs
}

impl RerankingService {
    /// A service over the process's item table, or over what comes with the scores.
    ///
    /// # Errors
    /// When a setting is impossible.
    pub fn new(parts: RerankingParts) -> Result<Self, SettingsError> {
        let RerankingParts { items, options, surfaces } = parts;
        check(&options).map_err(SettingsError::Problems)?;
        let plan = |(name, listed): (&String, &Vec<RuleOptions>)| {
            (SurfaceName::from(name.as_str()), Plan::new(&options, listed))
        };
        let plans = surfaces.iter().map(plan).collect();
        Ok(Self { items, plan: Plan::new(&options, &[]), plans, options })
    }

    fn plan(&self, surface: &str) -> Result<&Plan, CallError> {
        if surface.is_empty() {
            return Ok(&self.plan);
        }
        self.plans.get(surface).ok_or_else(|| {
            let message = format!("the settings of re-ranking have no surface {surface:?}");
            CallError::invalid(message)
        })
    }

    fn rerank(&self, call: &Rerank, plan: &Plan) -> Reranked {
        let own = call.diversity.map(Diversity::of_request);
        let rules = plan.with(own.as_ref());
        let facts = self.rule_facts(call, &plan.inputs);
        let mut skipped = Vec::new();
        let places = self.order_by(call, &facts, &rules, &mut skipped).1;
        let moves = match call.explain {
            true => self.moves(call, &facts, &rules, &places),
            false => Vec::new(),
        };
        Reranked { places, moves, skipped }
    }

    /// What the rules of a call would have done at each place of a list that was shown in answer to it: candidates by
    /// their place in [`Rerank::items`]. `worth` is what is expected of each candidate.
    ///
    /// # Errors
    /// When the call cannot be answered, or the list is not of its candidates.
    pub fn chances(
        &self,
        call: &Rerank,
        list: &[u32],
        worth: &[f64],
    ) -> Result<Vec<PlaceChance>, CallError> {
        let count = call.items.len();
        if call.ctr.len() != count || call.worth().len() != count || worth.len() != count {
            return Err(CallError::invalid(
                "a candidate has no value, or nothing is expected of it",
            ));
        }
        let plan = self.plan(&call.surface)?;
        let own = call.diversity.map(Diversity::of_request);
        let rules = plan.with(own.as_ref());
        let facts = self.rule_facts(call, &plan.inputs);
        let found = self.in_order(call, &facts, &rules, &mut Vec::new(), |field, order| {
            let place_of: HashMap<u32, usize> = order.iter().copied().zip(0..).collect();
            let list: Option<Vec<usize>> =
                list.iter().map(|candidate| place_of.get(candidate).copied()).collect();
            let worth: Vec<f64> = order.iter().map(|place| worth[*place as usize]).collect();
            list.map(|list| selection::chances(field, rules.iter().copied(), &list, &worth))
        });
        found
            .flatten()
            .ok_or_else(|| CallError::invalid("the list is not of the call's candidates"))
    }

    /// The order by value under some rules, and the places that they give.
    fn order_by(
        &self,
        call: &Rerank,
        rule_facts: &RuleFacts,
        rules: &[&dyn Rule],
        skipped: &mut Vec<String>,
    ) -> (Vec<u32>, Vec<Place>) {
        let found = self.in_order(call, rule_facts, rules, skipped, |field, order| {
            let place = |place: FilledPlace| Place {
                candidate: order[place.item],
                score: place.score,
                rule: place.rule,
                propensity: place.propensity,
            };
            let places = select(field, rules.iter().copied()).into_iter().map(place).collect();
            (order.to_vec(), places)
        });
        found.unwrap_or_default()
    }

    /// Brings the candidates into their order, and does something with it; nothing where there are none.
    fn in_order<T>(
        &self,
        call: &Rerank,
        rule_facts: &RuleFacts,
        rules: &[&dyn Rule],
        skipped: &mut Vec<String>,
        then: impl FnOnce(&Field<'_>, &[u32]) -> T,
    ) -> Option<T> {
        let mut value: Cow<'_, [f32]> = Cow::Borrowed(call.worth());
        for rule in rules.iter().filter(|rule| rule.turn() == Turn::Weighs) {
            rule.weigh(rule_facts, value.to_mut());
        }
        let order = self.order(&call.items, &value);
        if order.is_empty() {
            return None;
        }
        let sorted = |values: &[f32]| -> Vec<f32> {
            order.iter().map(|place| values[*place as usize]).collect()
        };
        let (ctr, value) = (sorted(&call.ctr), sorted(&value));
        let k = (call.k as usize).min(order.len());
        let pool = self.options.pool.max(k).min(order.len());
        let (facts, similarity) = self.facts(call, &order, pool, skipped);
        let field = Field {
            value: &value,
            ctr: &ctr,
            facts,
            rule_facts,
            order: &order,
            pool,
            similarity,
            k,
            before: call.before as usize,
            as_of: call.as_of,
            seed: call.seed,
        };
        Some(then(&field, &order))
    }

    /// What each rule did to each placed item: the places without the rule and those that are applied
    /// after it, against those with it.
    fn moves(
        &self,
        call: &Rerank,
        facts: &RuleFacts,
        rules: &[&dyn Rule],
        placed: &[Place],
    ) -> Vec<(u32, Vec<Move>)> {
        let (order, mut before) = self.order_by(call, facts, &[], &mut Vec::new());
        let mut first = vec![0u32; call.items.len()];
        (1..).zip(&order).for_each(|(place, candidate)| first[*candidate as usize] = place);
        let mut moves: Vec<(u32, Vec<Move>)> =
            placed.iter().map(|place| (first[place.candidate as usize], Vec::new())).collect();
        let of = |places: &[Place], candidate: u32| {
            let at = places.iter().position(|place| place.candidate == candidate);
            at.and_then(|at| u32::try_from(at + 1).ok())
        };
        for (at, rule) in rules.iter().enumerate() {
            let (_, after) = self.order_by(call, facts, &rules[..=at], &mut Vec::new());
            for (place, (_, moves)) in placed.iter().zip(&mut moves) {
                let from = of(&before, place.candidate);
                let to = of(&after, place.candidate);
                if from != to {
                    moves.push(Move { rule: Name::Borrowed(rule.name()), from, to });
                }
            }
            before = after;
        }
        moves
    }

    /// What the rules of the settings read, where the process has it, else as it came.
    fn rule_facts<'c>(&self, call: &'c Rerank, inputs: &RuleInputs) -> Cow<'c, RuleFacts> {
        match (&call.facts, &self.items) {
            _ if inputs.is_empty() => Cow::Owned(RuleFacts::default()),
            (Some(facts), _) => Cow::Borrowed(&facts.rules),
            (None, Some(own)) => {
                let indices = call.items.indices_in(&own.items);
                Cow::Owned(own.items.view().rule_facts(inputs, &indices))
            }
            (None, None) => Cow::Owned(RuleFacts::default()),
        }
    }

    /// The order by value. Of an item that is named twice, the better one stays; a list
    /// that was resolved by this process names none twice.
    fn order(&self, items: &ItemList, value: &[f32]) -> Vec<u32> {
        let mut order = by_value(items, value);
        if self.items.is_none() {
            let ids: Vec<_> = items.ids().collect();
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
        let compared =
            pool > 1 && (self.options.lambda < 1.0 || call.diversity.is_some()) && has_vectors;
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
        let items = call.items.len();
        for (field, entries) in [("ctr", call.ctr.len()), ("worth", call.worth().len())] {
            if entries != items {
                let message = format!("{entries} entries of `{field}` for {items} `items`");
                return Err(CallError::invalid(message));
            }
        }
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before re-ranking was begun"));
        }
        let plan = self.plan(&call.surface)?;
        Ok(self.rerank(&call, plan))
    }
}
