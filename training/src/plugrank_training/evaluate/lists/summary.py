"""The table of lists: metrics with intervals, coverage, cold items, sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from plugrank_training.evaluate.lists.context import Context
from plugrank_training.evaluate.lists.metrics import (
    SHORT,
    RankedLists,
    by_user,
    hit_places,
    interval,
    score_lists,
)
from plugrank_training.evaluate.lists.requests import Request
from plugrank_training.evaluate.lists.retrieval import SOURCES, Candidates
from plugrank_training.evaluate.lists.shown import CLICKED, clicked_share, labels_of, shown_clicks


def values_of(lists: Sequence[RankedLists], requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """Metrics by name, f64 `[seeds, users]`."""
    each = [score_lists(one.items, requests).by_name() for one in lists]
    return {name: np.stack([by_user(one[name], requests) for one in each]) for name in each[0]}


def with_past(requests: Sequence[Request]) -> np.ndarray:
    """Which users, in their order, clicked anything before a request of theirs; bool `[users]`."""
    return by_user(np.array([float(len(request.clicks) > 0) for request in requests]), requests) > 0


def summary(lists: Sequence[RankedLists], context: Context) -> dict[str, Any]:
    """What is said of one row: metrics with intervals over seeds and users, and means over seeds of the rest."""
    values = values_of(lists, context.requests.requests)
    rows = [describe(one, context) for one in lists]
    shown = shown_clicks(lists, context)
    told: dict[str, Any] = {name: asdict(interval(found)) for name, found in values.items()}
    told[CLICKED] = clicked_share(shown)
    told["shown_places"] = float(shown.shown.sum(axis=1).mean())
    past = with_past(context.requests.requests)
    if past.any():
        told["with_past"] = {name: asdict(interval(found[:, past])) for name, found in values.items()}
        told["with_past"][CLICKED] = clicked_share(shown.of(past))
    told["deviation"] = {
        name: float(found.mean(axis=1).std(ddof=1)) if len(found) > 1 else 0.0 for name, found in values.items()
    }
    for name in rows[0]:
        numbers = [value for row in rows if (value := row[name]) is not None]
        told[name] = float(np.mean(numbers)) if numbers else None
    told["sources"] = sources(lists, context)
    return told


def describe(lists: RankedLists, context: Context) -> dict[str, float | None]:
    """Coverage and cold items of the first places."""
    items, probability = lists.items[:, :SHORT], lists.probability[:, :SHORT]
    there = items >= 0
    places = items[there]
    cold = context.cold[places]
    hits = hit_places(items, context.requests.requests)
    label = labels_of(items, context)
    known = label >= 0
    chance = probability[there]
    told: dict[str, float | None] = {
        "coverage": len(np.unique(places)) / max(1, int(context.available.sum())),
        "cold_places": float(cold.mean()),
        "cold_hits": float(context.cold[items[hits]].mean()) if hits.any() else 0.0,
        "mean_probability_cold": mean_or_none(chance[cold]),
        "mean_probability_warm": mean_or_none(chance[~cold]),
    }
    for name, wanted in (("cold", True), ("warm", False)):
        chosen = known & (context.cold[np.maximum(items, 0)] == wanted)
        told[f"shown_{name}"] = float(chosen.sum())
        told[f"calibration_{name}"] = calibration(probability[chosen], label[chosen])
    return told


def sources(lists: Sequence[RankedLists], context: Context) -> dict[str, dict[str, float | None]]:
    """By source: share of the first places that it named, of the hits there, and calibration of what was shown."""
    told: dict[str, dict[str, float | None]] = {}
    for number, source in enumerate(SOURCES):
        rows = []
        for one in lists:
            items, named = one.items[:, :SHORT], one.named[:, :SHORT, number]
            if not one.named.any():
                continue
            hits = hit_places(items, context.requests.requests)
            label = labels_of(items, context)
            shown = named & (label >= 0)
            rows.append(
                (
                    float(named[items >= 0].mean()),
                    float(named[hits].mean()) if hits.any() else 0.0,
                    calibration(one.probability[:, :SHORT][shown], label[shown]),
                )
            )
        if rows:
            ratios = [row[2] for row in rows if row[2] is not None]
            told[source.value] = {
                "places": float(np.mean([row[0] for row in rows])),
                "hits": float(np.mean([row[1] for row in rows])),
                "calibration": float(np.mean(ratios)) if ratios else None,
            }
    return told


def retrieved(candidates: Sequence[Candidates], requests: Sequence[Request]) -> dict[str, float]:
    """Share of later clicks among the candidates, in all and by source; means over requests."""
    found = np.zeros((len(requests), len(SOURCES) + 1))
    for row, (one, request) in enumerate(zip(candidates, requests, strict=True)):
        hit = np.isin(one.items, request.hits)
        found[row, 0] = hit.sum() / len(request.hits)
        found[row, 1:] = one.named[hit].sum(axis=0) / len(request.hits)
    mean = found.mean(axis=0)
    return {"all": float(mean[0])} | {source.value: float(mean[place + 1]) for place, source in enumerate(SOURCES)}


def calibration(probability: np.ndarray, label: np.ndarray) -> float | None:
    """Mean probability over click rate; None where nothing was clicked or nothing is predicted."""
    clicks = float(label.sum())
    if not clicks or np.isnan(probability).any():
        return None
    return float(probability.sum() / clicks)


def mean_or_none(values: np.ndarray) -> float | None:
    """The mean; None without values and without predictions."""
    return None if not len(values) or np.isnan(values).any() else float(values.mean())


def difference(lists: Sequence[RankedLists], others: Sequence[RankedLists], context: Context) -> dict[str, Any]:
    """Paired differences of metrics, with intervals over seeds and users. A row without seeds is repeated."""
    requests = context.requests.requests
    mine, theirs = values_of(lists, requests), values_of(others, requests)
    shown, others_shown = shown_clicks(lists, context), shown_clicks(others, context)
    told: dict[str, Any] = {name: asdict(interval(mine[name] - theirs[name])) for name in mine}
    told[CLICKED] = clicked_share(shown, others_shown)
    past = with_past(requests)
    if past.any():
        told["with_past"] = {name: asdict(interval((mine[name] - theirs[name])[:, past])) for name in mine}
        told["with_past"][CLICKED] = clicked_share(shown.of(past), others_shown.of(past))
    return told
