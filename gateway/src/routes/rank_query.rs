//! A rank request, checked and resolved.

use std::{str::FromStr, sync::Arc, time::Duration};

use plugrank_budget::Rung;
use plugrank_contract::{
    EventType, HistoryEntry, ItemId, ItemList, TimestampMs, UNKNOWN_ITEM, UserId, feature::Number,
    reranking::MAX_DIVERSITY,
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

/// The request of a body, its items resolved for a model; `arm_surface` as for [`query_of`].
pub(super) fn read(
    gateway: &Gateway,
    model: &ServingModel,
    body: &[u8],
    arm_surface: Option<&str>,
) -> Result<RankQuery, Problem> {
    let request = body::parse(body)?;
    check(gateway, &request)?;
    Ok(query_of(gateway, model, request, arm_surface))
}

/// Checks a request; its budget.
pub(super) fn check(gateway: &Gateway, request: &RankRequest<'_>) -> Result<Duration, Problem> {
    let limits = &gateway.server;
    let mut errors = Errors::default();
    errors.text("user_id", &request.user_id, UserId::MAX_BYTES);
    if let Err(unknown) = gateway.surfaces.get(request.surface.as_deref()) {
        errors.add("surface", unknown);
    }
    if let Some(Err(wrong)) = shown(gateway, request) {
        errors.add("cursor", wrong);
    }
    if let Some(k) = request.k {
        errors.range("k", k, 1..=i64::from(limits.k_max));
    }
    if request.candidates.as_ref().is_some_and(Vec::is_empty) {
        errors.add("candidates", "is empty; leave it out to have candidates retrieved");
    }
    let candidates = request.candidates.as_deref().unwrap_or_default();
    errors.item_ids("candidates", candidates.iter().map(Candidate::id), limits.max_candidates);
    let exclude = request.exclude.as_deref().unwrap_or_default();
    errors.item_ids("exclude", exclude.iter(), limits.max_exclude);
    let ceiling_ms = i64::try_from(gateway.live.load().budget.ceiling_ms).unwrap_or(i64::MAX);
    if let Some(budget_ms) = request.budget_ms {
        errors.range("budget_ms", budget_ms, 1..=ceiling_ms);
    }
    if let Some(diversity) = request.diversity {
        errors.range("diversity", diversity, 0.0..=MAX_DIVERSITY);
    }
    if let Some(Err(error)) = request.rung.as_deref().map(Rung::from_str) {
        errors.add("rung", error.to_string());
    }
    if let Some(RankContext { timestamp, features, items }) = &request.context {
        errors.features("context.features", features);
        errors.item_ids("context.items", items.iter(), MAX_CONTEXT);
        if let Some(timestamp) = timestamp {
            errors.range("context.timestamp", *timestamp, 0..=i64::MAX);
        }
    }
    if let Some(RankUser { features, recent }) = &request.user {
        errors.features("user.features", features);
        check_recent(gateway, recent.as_deref().unwrap_or_default(), &mut errors);
    }
    for (at, candidate) in candidates.iter().enumerate() {
        if let Candidate::Given(given) = candidate
            && !errors.full()
        {
            errors.features(&format!("candidates[{at}].features"), &given.features);
        }
    }
    request.filter.iter().for_each(|filter| errors.filter("/filter", filter));
    errors.none_or(budget_of(gateway, request))
}

fn check_recent(gateway: &Gateway, recent: &[RecentEvent<'_>], errors: &mut Errors) {
    errors.item_ids("user.recent", recent.iter().map(|event| &event.item_id), MAX_RECENT);
    for (at, event) in recent.iter().enumerate() {
        let kind = event.kind.as_deref().map(|kind| gateway.event_checks.event_type(kind));
        if let Some(Err(unknown)) = kind {
            errors.add(format!("user.recent[{at}].type"), unknown);
        }
        if event.value.is_some_and(|value| Number::new(value).is_none()) {
            let detail = "is no number that is finite as a float32";
            errors.add(format!("user.recent[{at}].value"), detail);
        }
    }
}

/// What the request's cursor says was shown; `None` where it has none.
fn shown(gateway: &Gateway, request: &RankRequest<'_>) -> Option<Result<Vec<u32>, &'static str>> {
    let text = request.cursor.as_deref()?;
    let surface = gateway.surfaces.get(request.surface.as_deref()).ok()?;
    Some(cursor::read(&request.user_id, &surface.name, text))
}

fn budget_of(gateway: &Gateway, request: &RankRequest<'_>) -> Duration {
    let own = request.budget_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let surface = || gateway.surfaces.get(request.surface.as_deref()).ok()?.budget;
    own.or_else(surface).unwrap_or_else(|| gateway.live.load().budget.default_budget())
}

/// The query of a checked request, its items resolved for a model. `arm_surface` ranks in place of the surface
/// that the request names, within the latter's budget.
pub(super) fn query_of(
    gateway: &Gateway,
    model: &ServingModel,
    request: RankRequest<'_>,
    arm_surface: Option<&str>,
) -> RankQuery {
    let surfaces = &gateway.surfaces;
    let shown_on = surfaces.get(request.surface.as_deref()).unwrap_or(surfaces.unnamed());
    let surface = match arm_surface.map(|name| surfaces.get(Some(name))) {
        Some(Ok(other)) => other,
        Some(Err(_)) => {
            gateway.metrics.arm_without_surface();
            shown_on
        }
        None => shown_on,
    };
    let k = request.k.and_then(|k| u32::try_from(k).ok()).or(surface.k);
    let budget = budget_of(gateway, &request);
    let shown = shown(gateway, &request).and_then(Result::ok).unwrap_or_default();
    let exclude = request.exclude.as_deref().unwrap_or_default();
    let RankContext { timestamp: as_of, features, items } = request.context.unwrap_or_default();
    let RankUser { features: user, recent } = request.user.unwrap_or_default();
    let as_of = as_of.unwrap_or_else(validate::now_ms);
    let recent = recent.map(|recent| history(recent, &gateway.event_checks, as_of));
    RankQuery {
        user_id: UserId::from(&*request.user_id),
        surface: Arc::clone(surface),
        shown_on: Arc::clone(shown_on),
        k: k.unwrap_or(gateway.server.k_default),
        candidates: request
            .candidates
            .as_ref()
            .map(|candidates| resolve(model, candidates.iter().map(Candidate::id))),
        exclude: resolve(model, exclude.iter()),
        shown: shown.into(),
        context: resolve(model, items.iter()),
        filters: request.filter.into_iter().collect(),
        given: Given::from_request(features, user, recent, request.candidates),
        as_of,
        budget,
        explain: request.explain,
        diversity: request.diversity,
        rung: request.rung.as_deref().and_then(|rung| Rung::from_str(rung).ok()),
    }
}

/// What the caller says the user did before a moment, in the order of histories. What has no time
/// happened just before, in the order in which it is listed.
fn history(
    recent: Vec<RecentEvent<'_>>,
    types: &Checks,
    as_of: TimestampMs,
) -> Arc<[HistoryEntry]> {
    let click = EventType::click();
    let entry = |(ago, event): (TimestampMs, RecentEvent<'_>)| {
        let kind = event.kind.as_deref().and_then(|kind| types.event_type(kind).ok());
        let kind = kind.unwrap_or(&click);
        let timestamp = event.timestamp.unwrap_or_else(|| as_of.saturating_sub(ago));
        HistoryEntry {
            action: Some(Arc::clone(&kind.name)),
            value: event.value.and_then(Number::new),
            ..HistoryEntry::new(ItemId::from(&*event.item_id.0), kind.is_positive(), timestamp)
        }
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
