//! Answers `Retrieve`.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use plugrank_contract::{
    CallError, Context, Deadline, HistoryLimits, ItemId, ItemIndex, ItemList, UNKNOWN_ITEM,
    UserRead, inner_span,
    retrieval::{Dropped, Name, OVER_LIMIT, Retrieve, Retrieved, UNKNOWN},
};
use plugrank_items::View;
use plugrank_transport::Service;
use tracing::Instrument;

use crate::{
    RetrievalService,
    candidates::Candidates,
    filters::{self, Removed},
    index_set::IndexSet,
    merge::fuse,
    narrowed::{self, Narrowed},
    query::RetrievalQuery,
    shown::Shown,
    sources::{Plan, SourceRequest, gather},
};

/// Most dropped items that a reply lists; `dropped_total` counts all.
const LISTED_DROPS: usize = 1_000;

/// Share of the sources' time that reading the user may take: from a store that does not answer
/// nobody gets anything, and those that need no clicks still have to.
const CLICKS_SHARE: f64 = 0.5;

#[async_trait]
impl Service<Retrieve> for RetrievalService {
    async fn call(&self, context: Context, call: Retrieve) -> Result<Retrieved, CallError> {
        self.check(&context, &call)?;
        match &call.candidates {
            Some(given) => self.keep_given(&call, given),
            None => self.find(&context, &call).await,
        }
    }
}

impl RetrievalService {
    fn check(&self, context: &Context, call: &Retrieve) -> Result<(), CallError> {
        let most = self.state.options.max_candidates;
        if call.limit == 0 || call.limit > most {
            return Err(CallError::invalid(format!(
                "`limit` is {}; it must be from 1 to {most}",
                call.limit
            )));
        }
        let named = call.candidates.as_ref().map_or(0, ItemList::len);
        if named > most as usize {
            return Err(CallError::invalid(format!(
                "`candidates` has {named} items; at most {most} are taken"
            )));
        }
        if context.expired() {
            return Err(CallError::deadline("the deadline passed before retrieval was begun"));
        }
        Ok(())
    }

    fn query(
        &self,
        call: &Retrieve,
        plan: &Plan,
        view: &View<'_>,
    ) -> Result<RetrievalQuery, CallError> {
        let excluded = match call.exclude.is_empty() {
            true => IndexSet::default(),
            false => call.exclude.indices_in(&self.state.items).iter().copied().collect(),
        };
        let mut filters = narrowed::compile(&call.filters, view)?;
        if !plan.filter.is_empty() {
            filters.push(view.compile_leniently(&plan.filter));
        }
        let shown = Shown::new(&call.shown, &self.state.items);
        let (as_of, limit) = (call.as_of, call.limit as usize);
        Ok(RetrievalQuery { excluded, shown, filters, as_of, limit, ..RetrievalQuery::default() })
    }

    /// What the filters keep of the candidates that the caller names, in the caller's order. Asks
    /// nothing of the user, and waits for nothing.
    fn keep_given(&self, call: &Retrieve, given: &ItemList) -> Result<Retrieved, CallError> {
        let view = self.state.items.view();
        let query = self.query(call, self.sources.plan(&call.surface)?, &view)?;
        let indices = given.indices_in(&self.state.items);
        let (indices, unknown) = distinct(given, &indices);
        let sources = vec![self.sources.caller(); indices.len()];
        let mut candidates = Candidates { indices, sources };
        let removed = filters::apply(&mut candidates, &query, &view);
        Ok(self.reply(call, &view, candidates, removed, unknown))
    }

    /// Candidates from the sources.
    async fn find(&self, context: &Context, call: &Retrieve) -> Result<Retrieved, CallError> {
        let plan = self.sources.plan(&call.surface)?;
        self.keep_lists_fresh();
        let share = self.state.options.source_time_share;
        let until = context.deadline.part(share);
        let span = inner_span!("hydrate");
        let often = &plan.shown_too_often;
        let user = self.read_user(call, often.limits(), until).instrument(span).await;
        let view = self.state.items.view();
        let mut query = self.query(call, plan, &view)?;
        if !query.filters.is_empty() {
            query.narrowed = Some(Narrowed::new(&query.filters, &view, query.limit));
        }
        query.shown_too_often = often.items(&user, call.as_of, &self.state.items);
        query.read_clicks(user, self.state.options.seen_clicks, &self.state.items, &view);
        if !call.context.is_empty() {
            query.go_with(&call.context, &self.state.items, &view);
        }
        let query = Arc::new(query);
        let request = SourceRequest { state: &self.state, view: &view, query: &query };
        let gathered = gather(self.sources.asked(plan), request, until).await;
        let mut candidates = fuse(&gathered.lists);
        let removed = filters::apply(&mut candidates, &query, &view);
        self.fill(&mut candidates, &removed, &query, &view);
        let reply = self.reply(call, &view, candidates, removed, Vec::new());
        Ok(Retrieved { failed: gathered.failed, user: query.user.clone(), ..reply })
    }

    /// The user, for the sources and the stages that come after.
    async fn read_user(
        &self,
        call: &Retrieve,
        impressions: HistoryLimits,
        until: Deadline,
    ) -> UserRead {
        let options = &self.state.options;
        let clicks = HistoryLimits { clicks: options.seen_clicks, impressions: 0 };
        let limits = options.history.union(clicks).union(impressions);
        let read = self.state.store.user_view(&call.user_id, call.as_of, limits);
        let read = match until.part(CLICKS_SHARE).limit(read).await {
            Some(read) => {
                read.map_or_else(|error| UserRead::Failed(error.to_string()), UserRead::Read)
            }
            None => UserRead::Failed("the store did not answer in time".to_owned()),
        };
        // The profile counts, the history is the caller's.
        match (read, &call.recent) {
            (UserRead::Read(user), Some(recent)) => {
                UserRead::Read(Arc::new(user.with_history(recent)))
            }
            (read, _) => read,
        }
    }

    /// Fills up to the limit from the popular items, then from those too new to be listed.
    fn fill(
        &self,
        candidates: &mut Candidates,
        removed: &Removed,
        query: &RetrievalQuery,
        view: &View<'_>,
    ) {
        let missing = query.limit.saturating_sub(candidates.len());
        if missing == 0 {
            return;
        }
        let mut met = IndexSet::with_room(query.limit + removed.len());
        let named = candidates.indices.iter().chain(removed.iter().map(|(item, _)| item));
        named.for_each(|item| {
            met.insert(*item);
        });
        // Before the lists: an item that is unlisted no longer is in the lists by then.
        let wanted = |item: &ItemIndex| !met.contains(*item) && filters::keep(*item, query, view);
        let unlisted = match query.few() {
            Some(_) => Vec::new(),
            None => view.unlisted().filter(wanted).take(missing).collect(),
        };
        let lists = self.state.popularity.lists();
        let ranking = query.few().unwrap_or(&lists.overall);
        for index in ranking.iter().copied().chain(unlisted) {
            if candidates.len() >= query.limit {
                return;
            }
            if filters::keep(index, query, view) && met.insert(index) {
                candidates.push(index, self.sources.popular());
            }
        }
    }

    /// `unknown`: ids of the unknown items among those removed, in their order.
    fn reply(
        &self,
        call: &Retrieve,
        view: &View<'_>,
        mut candidates: Candidates,
        removed: Removed,
        unknown: Vec<&ItemId>,
    ) -> Retrieved {
        let over = candidates.split_off(call.limit as usize);
        let left_out = removed.len() + over.len();
        let unknown_total = removed.iter().filter(|(_, reason)| *reason == UNKNOWN).count();
        let dropped = match call.explain {
            true => dropped(removed, over, view, unknown),
            false => Vec::new(),
        };
        let Candidates { indices, sources } = candidates;
        let items = Arc::clone(&self.state.items);
        Retrieved {
            candidates: ItemList::resolved(items, indices, Vec::new()),
            source_names: self.sources.names(),
            sources,
            dropped,
            dropped_total: u32::try_from(left_out).unwrap_or(u32::MAX),
            unknown: u32::try_from(unknown_total).unwrap_or(u32::MAX),
            failed: Vec::new(),
            user: UserRead::NotRead,
        }
    }

    /// Makes the popularity lists again in the background, when they are due.
    fn keep_lists_fresh(&self) {
        if self.state.popularity.take_turn(&self.state.options) {
            let state = Arc::clone(&self.state);
            tokio::task::spawn_blocking(move || {
                state.popularity.remake(&state.items, &state.options);
            });
        }
    }
}

/// The items of a list without duplicates, and the ids of the unknown ones.
fn distinct<'a>(given: &'a ItemList, indices: &[ItemIndex]) -> (Vec<ItemIndex>, Vec<&'a ItemId>) {
    let mut met = IndexSet::with_room(indices.len());
    let mut items = Vec::with_capacity(indices.len());
    if !indices.contains(&UNKNOWN_ITEM) {
        items.extend(indices.iter().copied().filter(|item| met.insert(*item)));
        return (items, Vec::new());
    }
    let (mut unknown, mut ids) = (Vec::new(), HashSet::new());
    let new = |(item, id): (&ItemIndex, &'a ItemId)| match *item {
        UNKNOWN_ITEM => {
            let new = ids.insert(id);
            if new {
                unknown.push(id);
            }
            new.then_some(UNKNOWN_ITEM)
        }
        item => met.insert(item).then_some(item),
    };
    items.extend(indices.iter().zip(given.ids()).filter_map(new));
    (items, unknown)
}

/// What is said of items that were left out.
fn dropped(
    removed: Removed,
    over: Vec<ItemIndex>,
    view: &View<'_>,
    unknown: Vec<&ItemId>,
) -> Vec<Dropped> {
    let mut unknown = unknown.into_iter();
    let removed = removed.into_iter().map(|(item, reason)| (item, Name::Borrowed(reason)));
    let over = over.into_iter().map(|item| (item, OVER_LIMIT));
    let named = removed.chain(over).filter_map(|(item, reason)| {
        let id = if item == UNKNOWN_ITEM { unknown.next() } else { view.id(item) };
        Some(Dropped { item_id: id?.clone(), reason })
    });
    named.take(LISTED_DROPS).collect()
}
