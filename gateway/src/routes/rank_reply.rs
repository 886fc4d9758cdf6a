//! The reply to `POST /v1/rank`.

use std::fmt::Write as _;

use plugrank_budget::Stage;
use plugrank_contract::ItemId;
use uuid::Uuid;

use crate::{
    api::{
        millis,
        rank::{
            BudgetReport, Coverage, DegradedReport, DroppedItem, Explanation, ItemScores,
            MovedItem, NamedSources, PlacedItem, RankResponse, RankedItem, StageReport,
            ValueNumbers,
        },
    },
    cursor,
    experiments::Arms,
    pipeline::{CandidateSet, Degraded, Placed, RankQuery, Ranked},
};

/// The reply of a ranking.
pub(super) fn respond<'a>(
    set: &'a CandidateSet,
    ranked: &'a Ranked,
    query: &'a RankQuery,
    arms: &'a Arms,
    budget: BudgetReport,
    (request_id, trace_id): (Uuid, Option<&'a str>),
) -> RankResponse<'a> {
    // Ranks count over all pages, as events name them.
    let before = u32::try_from(query.shown.len()).unwrap_or(u32::MAX);
    let items = set.places.iter().zip(before + 1..).map(|(placed, rank)| RankedItem {
        item_id: set.id(placed).map_or("", ItemId::as_str),
        rank,
        score: placed.score,
        ctr: set.ctr_of(placed),
        scores: (!set.scores.is_empty())
            .then(|| ItemScores { tasks: &set.scores, candidate: placed.candidate as usize }),
        sources: NamedSources {
            names: &set.source_names,
            set: set.sources.get(placed.candidate as usize).copied().unwrap_or_default(),
        },
        propensity: placed.propensity,
    });
    RankResponse {
        request_id,
        model: set.model.as_deref(),
        experiments: arms.list.iter().map(|arm| (&*arm.layer, &*arm.arm)).collect(),
        surface: Some(&*query.shown_on.name).filter(|name| !name.is_empty()),
        items: items.collect(),
        cursor: next_page(set, query),
        budget,
        rung: ranked.rung().as_str(),
        note: set.places.is_empty().then(|| note(&set.coverage)),
        degraded: ranked.degraded.iter().map(degraded_report).collect(),
        coverage: set.coverage,
        trace_id,
        explain: query.explain.then(|| explanation(set)),
    }
}

/// The cursor of the next page; none after a page that is not full.
fn next_page(set: &CandidateSet, query: &RankQuery) -> Option<String> {
    if set.places.len() < query.k as usize {
        return None;
    }
    let fingerprint = |placed: &Placed| set.id(placed).map_or(0, ItemId::fingerprint);
    let page = set.places.iter().map(fingerprint);
    cursor::write(query.user_id.as_str(), &query.shown_on.name, &query.shown, page)
}

/// Why a ranking has no items.
fn note(coverage: &Coverage) -> String {
    let Coverage { candidates, unknown, dropped, .. } = *coverage;
    match (candidates, unknown, dropped) {
        (0, 1.., _) if unknown == dropped => {
            format!(
                "none of the {unknown} candidates is in the catalog; `/v1/items/{{id}}` adds an item"
            )
        }
        (0, _, 1..) => {
            format!("all {dropped} candidates were left out; `explain` says why")
        }
        (0, _, _) => "no source has a candidate: the catalog has no item to show".to_owned(),
        _ => format!("none of the {candidates} candidates could be placed"),
    }
}

fn explanation(set: &CandidateSet) -> Explanation<'_> {
    let dropped = set
        .dropped
        .iter()
        .map(|dropped| DroppedItem { item_id: dropped.item_id.as_str(), reason: &dropped.reason });
    let placements = set.places.iter().enumerate().map(|(place, placed)| {
        let moved = set.moves.get(place);
        let moves = moved.into_iter().flat_map(|(_, moves)| moves).map(|one| MovedItem {
            rule: &one.rule,
            from: one.from,
            to: one.to,
        });
        PlacedItem {
            item_id: set.id(placed).map_or("", ItemId::as_str),
            placement: &placed.rule,
            by_value: moved.map(|(by_value, _)| *by_value),
            moves: moves.collect(),
            value: set.value.as_ref().filter(|value| !value.names.is_empty()).map(|value| {
                let numbers = value.numbers_of(placed.candidate as usize);
                ValueNumbers { names: &value.names, numbers }
            }),
            without_ppm: (!set.without_ppm.is_empty())
                .then(|| ItemScores { tasks: &set.without_ppm, candidate: place }),
        }
    });
    Explanation {
        dropped: dropped.collect(),
        placements: placements.collect(),
        batch_rows: set.batch_rows,
        value: set.value.as_ref().map(|value| &*value.formula),
    }
}

fn degraded_report(degraded: &Degraded) -> DegradedReport<'_> {
    DegradedReport {
        stage: degraded.stage.as_str(),
        rung: degraded.fallback.as_str(),
        cause: degraded.cause.as_str(),
        detail: &degraded.detail,
    }
}

/// What the request's time went to.
pub(super) fn budget_report(ranked: &Ranked) -> BudgetReport {
    let ran = ranked.stages.iter().map(|record| StageReport {
        stage: record.stage.as_str(),
        allotted_ms: millis(record.allotted),
        spent_ms: millis(record.spent),
        outcome: record.outcome.as_str(),
    });
    let skipped = ranked.skipped().map(|stage| StageReport {
        stage: stage.as_str(),
        allotted_ms: 0.0,
        spent_ms: 0.0,
        outcome: "skipped",
    });
    let mut stages = Vec::with_capacity(Stage::ALL.len());
    stages.extend(ran.chain(skipped));
    BudgetReport { total_ms: millis(ranked.total), spent_ms: millis(ranked.spent), stages }
}

/// `Server-Timing` (W3C): one entry a stage, then the whole.
pub(super) fn server_timing(budget: &BudgetReport) -> String {
    let mut timing = String::with_capacity(160);
    for StageReport { stage, spent_ms, outcome, .. } in &budget.stages {
        // Writing to a string cannot fail.
        let _ = write!(timing, "{stage};dur={spent_ms};desc=\"{outcome}\", ");
    }
    let _ = write!(timing, "total;dur={}", budget.spent_ms);
    timing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ranking_says_why() {
        let note = |candidates, unknown, dropped| {
            note(&Coverage { candidates, unknown, dropped, ..Coverage::default() })
        };
        assert!(note(0, 3, 3).starts_with("none of the 3 candidates is in the catalog"));
        assert_eq!(note(0, 1, 4), "all 4 candidates were left out; `explain` says why");
        assert!(note(0, 0, 0).starts_with("no source has a candidate"));
        assert!(note(5, 0, 0).contains("none of the 5"));
    }
}
