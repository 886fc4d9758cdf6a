//! `Fetch`: what the unified graph reads, as much of it as can be had in time.

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, ItemId,
    embedding::{Fetch, Fetched, Tiers, UserState},
    inner_span,
    item::ContentHash,
};
use plugrank_transport::Service;
use tracing::Instrument;

use crate::{
    EmbeddingService,
    service::wanted,
    time_limit::TimeLimit,
    user_state::{HistoryItems, UserFacts},
};

/// Share of a call's time that reading the user may take, so that something is left for the items.
const USER_SHARE: f64 = 0.6;

/// A call under way: what it asks for, and what it had to do without.
struct Run<'a> {
    service: &'a EmbeddingService,
    limit: TimeLimit,
    /// Candidates, then the items of the user's history.
    ids: Vec<ItemId>,
    asked: usize,
    late: Vec<String>,
}

impl Run<'_> {
    /// The user's facts; those of an unknown user when they cannot be read in time.
    async fn facts(&mut self, call: &Fetch) -> Option<UserFacts> {
        let (user, as_of) = call.user.clone()?;
        let users = &self.service.users;
        let span = inner_span!("user");
        let facts = users.facts(user.clone(), as_of);
        let read = self.limit.part(USER_SHARE).within(facts).instrument(span).await;
        let why = match read {
            Some(Ok(facts)) => return Some(facts),
            Some(Err(error)) => error.message,
            None => format!("user `{user}` was not read in time"),
        };
        self.late.push(why);
        Some(users.unknown(user, as_of))
    }

    /// Through all tiers; `Err` says why the items could not be read.
    async fn through_all(&mut self, facts: Option<&UserFacts>) -> Result<Fetched, CallError> {
        let service = self.service;
        let items = service.items(&self.ids, self.limit).await?;
        let of_history = items[self.asked..].to_vec();
        let contents: Vec<Option<ContentHash>> =
            of_history.iter().map(|item| item.as_ref().map(|item| item.content)).collect();
        let key = facts.map(|facts| service.users.key(facts, &contents));
        let cached =
            facts.zip(key.as_ref()).and_then(|(facts, key)| service.users.cached(facts, key));
        let mut wanted = wanted(&self.ids, items);
        if cached.is_some() || !service.users.schema.reads_records {
            wanted.truncate(self.asked);
        }
        let mut resolved = service.resolve(&wanted, self.limit).await?;
        if resolved.late {
            self.late.push("the store did not give its records in time".to_owned());
        }
        let (records, origins) =
            (resolved.records.split_off(self.asked), resolved.origins.split_off(self.asked));
        let history =
            HistoryItems { records: &records, origins: &origins, stored: Some(&of_history) };
        let user = self.state(facts, cached, key, &history).await?;
        let items = service.matrix(&resolved)?;
        let bundle = service.version.clone();
        Ok(Fetched { bundle, items, origins: resolved.origins, user, late: None })
    }

    /// As the in-process tier last knew it.
    async fn through_held(&mut self, facts: Option<&UserFacts>) -> Result<Fetched, CallError> {
        let service = self.service;
        let held = service.records.resolve_held(&self.ids, self.limit).await;
        let (mut resolved, mut contents) =
            held.map_err(|error| CallError::internal(error.to_string()))?;
        let (records, origins) =
            (resolved.records.split_off(self.asked), resolved.origins.split_off(self.asked));
        let contents = contents.split_off(self.asked);
        let key = facts.map(|facts| service.users.key(facts, &contents));
        let cached =
            facts.zip(key.as_ref()).and_then(|(facts, key)| service.users.cached(facts, key));
        let records = if service.users.schema.reads_records { &records[..] } else { &[] };
        let history = HistoryItems { records, origins: &origins, stored: None };
        let user = self.state(facts, cached, key, &history).await?;
        let items = service.matrix(&resolved)?;
        let bundle = service.version.clone();
        Ok(Fetched { bundle, items, origins: resolved.origins, user, late: None })
    }

    /// The user's state, made now if it is not cached; an unknown user's when there is no time.
    async fn state(
        &mut self,
        facts: Option<&UserFacts>,
        cached: Option<UserState>,
        key: Option<[u8; 32]>,
        history: &HistoryItems<'_>,
    ) -> Result<Option<UserState>, CallError> {
        let (None, Some((facts, key))) = (&cached, facts.zip(key)) else { return Ok(cached) };
        let users = &self.service.users;
        let made = self.limit.within(users.encode(facts, key, history, self.limit.at())).await;
        let error = match made {
            Some(Ok(state)) => return Ok(Some(state)),
            Some(Err(error)) => error,
            None => CallError::deadline("the user encoder did not answer in time"),
        };
        // Before the first warm-up there is nothing to stand in.
        let Some(state) = users.stand_in() else { return Err(error) };
        self.late.push(error.message);
        Ok(Some(state))
    }
}

#[async_trait]
impl Service<Fetch> for EmbeddingService {
    async fn call(&self, context: Context, call: Fetch) -> Result<Fetched, CallError> {
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before the fetch was begun"));
        }
        let limit = TimeLimit::of(&context, self.options.answer_margin);
        let asked = call.item_ids.len();
        let mut run = Run { service: self, limit, ids: Vec::new(), asked, late: Vec::new() };
        let facts = run.facts(&call).await;
        run.ids = call.item_ids;
        // One read for candidates and history together.
        run.ids.extend(facts.iter().flat_map(UserFacts::items).cloned());
        let fetched = match call.tiers {
            Tiers::Held => run.through_held(facts.as_ref()).await?,
            Tiers::All => match run.through_all(facts.as_ref()).await {
                Ok(fetched) => fetched,
                Err(error) => {
                    run.late.push(error.message);
                    run.through_held(facts.as_ref()).await?
                }
            },
        };
        let late = (!run.late.is_empty()).then(|| run.late.join("; "));
        Ok(Fetched { late, ..fetched })
    }
}
