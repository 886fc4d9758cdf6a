//! A rank request, checked and resolved.

use std::{sync::Arc, time::Duration};

use plugrank_contract::{
    EventType, HistoryEntry, ItemId, ItemList, TimestampMs, UNKNOWN_ITEM, UserId,
};

use crate::{
    Gateway, ServingModel,
    api::rank::{Candidate, IdText, RankContext, RankRequest, RankUser, RecentEvent},
    body, cursor,
    events::Checks,
    pipeline::{Given, RankQuery},
    problem::Problem,
    validate::{self, Errors},
};

/// Most entries of `user.recent`.
const MAX_RECENT: usize = 1_000;
/// Most items of `context.items`.
const MAX_CONTEXT: usize = 100;

/// The request of a body, its items resolved for a model.
pub(super) fn read(
    gateway: &Gateway,
    model: &ServingModel,
    body: &[u8],
) -> Result<RankQuery, Problem> {
    check(gateway, model, body::parse(body)?)
}

/// Checks a request, and resolves its items for a model.
pub(super) fn check(
    gateway: &Gateway,
    model: &ServingModel,
    request: RankRequest<'_>,
) -> Result<RankQuery, Problem> {
    let limits = &gateway.server;
    let mut errors = Errors::default();
    errors.text("user_id", &request.user_id, UserId::MAX_BYTES);
    let surfaces = &gateway.surfaces;
    let surface = surfaces.get(request.surface.as_deref()).unwrap_or_else(|unknown| {
        errors.add("surface", unknown);
        surfaces.unnamed()
    });
    let k = request.k.unwrap_or(i64::from(surface.k));
    let shown = request.cursor.as_deref().map(|text| {
        cursor::read(&request.user_id, &surface.name, text).unwrap_or_else(|wrong| {
            errors.add("cursor", wrong);
            Vec::new()
        })
    });
    errors.range("k", k, 1..=i64::from(limits.k_max));
    if request.candidates.as_ref().is_some_and(Vec::is_empty) {
        errors.add("candidates", "is empty; leave it out to have candidates retrieved");
    }
    let candidates = request.candidates.as_deref().unwrap_or_default();
    errors.item_ids("candidates", candidates.iter().map(Candidate::id), limits.max_candidates);
    let exclude = request.exclude.as_deref().unwrap_or_default();
    errors.item_ids("exclude", exclude.iter(), limits.max_exclude);
    let ceiling_ms = i64::try_from(gateway.budget_ceiling_ms).unwrap_or(i64::MAX);
    if let Some(budget_ms) = request.budget_ms {
        errors.range("budget_ms", budget_ms, 1..=ceiling_ms);
    }
    let RankContext { timestamp: as_of, features, items } = request.context.unwrap_or_default();
    let RankUser { features: user, recent } = request.user.unwrap_or_default();
    errors.item_ids("context.items", items.iter(), MAX_CONTEXT);
    let recent_ids = recent.iter().flatten().map(|event| &event.item_id);
    errors.item_ids("user.recent", recent_ids.collect::<Vec<_>>().into_iter(), MAX_RECENT);
    for (at, event) in recent.iter().flatten().enumerate() {
        if let Some(Err(unknown)) =
            event.kind.as_deref().map(|kind| gateway.event_checks.event_type(kind))
        {
            errors.add(format!("user.recent[{at}].type"), unknown);
        }
    }
    errors.features("context.features", &features);
    errors.features("user.features", &user);
    for (at, candidate) in candidates.iter().enumerate() {
        if let Candidate::Given(given) = candidate
            && !errors.full()
        {
            errors.features(&format!("candidates[{at}].features"), &given.features);
        }
    }
    if let Some(diversity) = request.diversity {
        errors.range("diversity", diversity, 0.0..=1.0);
    }
    if let Some(timestamp) = as_of {
        errors.range("context.timestamp", timestamp, 0..=i64::MAX);
    }
    request.filter.iter().for_each(|filter| errors.filter("/filter", filter));
    errors.none_or(())?;
    let as_of = as_of.unwrap_or_else(validate::now_ms);
    let budget = request.budget_ms.and_then(|ms| u64::try_from(ms).ok());
    Ok(RankQuery {
        user_id: UserId::from(&*request.user_id),
        k: u32::try_from(k).unwrap_or(surface.k),
        candidates: request
            .candidates
            .as_ref()
            .map(|candidates| resolve(model, candidates.iter().map(Candidate::id))),
        exclude: resolve(model, exclude.iter()),
        filters: request.filter.into_iter().collect(),
        shown: shown.unwrap_or_default().into(),
        surface: Arc::clone(surface),
        context: resolve(model, items.iter()),
        given: Given::from_request(
            features,
            user,
            recent.map(|recent| history(recent, &gateway.event_checks, as_of)),
            request.candidates,
        ),
        as_of,
        budget: budget.map_or(surface.budget, Duration::from_millis),
        explain: request.explain,
        diversity: request.diversity,
    })
}

/// What the caller says the user did before a moment, in the order of histories. What has no time
/// happened just before, in the order in which it is listed.
fn history(
    recent: Vec<RecentEvent<'_>>,
    types: &Checks,
    as_of: TimestampMs,
) -> Arc<[HistoryEntry]> {
    let clicked = |kind: &str| types.event_type(kind).is_ok_and(EventType::is_positive);
    let entry = |(ago, event): (TimestampMs, RecentEvent<'_>)| HistoryEntry {
        item_id: ItemId::from(&*event.item_id.0),
        clicked: event.kind.as_deref().is_none_or(clicked),
        timestamp: event.timestamp.unwrap_or_else(|| as_of.saturating_sub(ago)),
    };
    let mut entries: Vec<HistoryEntry> = (1..).zip(recent).map(entry).collect();
    entries.retain(|entry| entry.timestamp < as_of);
    entries.sort_by(|a, b| (b.timestamp, &b.item_id).cmp(&(a.timestamp, &a.item_id)));
    entries.into()
}

/// Hashes each id once, where this process has the item table. From here on items are indices.
fn resolve<'i>(
    model: &ServingModel,
    ids: impl ExactSizeIterator<Item = &'i IdText<'i>> + Clone,
) -> ItemList {
    let Some(table) = model.items.as_ref().filter(|_| ids.len() > 0) else {
        return ids.map(|id| ItemId::from(&*id.0)).collect();
    };
    let mut indices = Vec::with_capacity(ids.len());
    table.indices(&mut ids.clone().map(|id| &*id.0), &mut indices);
    let unknown = ids.zip(&indices).filter(|(_, index)| **index == UNKNOWN_ITEM);
    let unknown = unknown.map(|(id, _)| ItemId::from(&*id.0)).collect();
    ItemList::resolved(Arc::clone(table), indices, unknown)
}
