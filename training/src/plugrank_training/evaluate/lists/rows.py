"""Lists of requests, put together; and the rows that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugrank_training.evaluate.lists.metrics import LONG, RankedLists
from plugrank_training.evaluate.lists.orders import clicks, recent_clicks
from plugrank_training.evaluate.lists.requests import Request
from plugrank_training.evaluate.lists.retrieval import SOURCES, Candidates, Retrieval

# Rows that need no network.
PLAIN = ("popularity", "recent popularity", "latest popularity", "co-visitation", "retrieval order")
# Of the latest popularity: a click counts half after so many days; of the recent one as the service has it.
LATEST_DAYS = 7.0


@dataclass(frozen=True)
class ListRow:
    """One list, best first: items `[n]`, sources that named them `[n, sources]`, probabilities `[n]` or none."""

    items: np.ndarray
    named: np.ndarray
    probability: np.ndarray | None


def reordered(given: Candidates, order: np.ndarray) -> ListRow:
    """Candidates in the order of a ranking of the whole catalog."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    best = np.argsort(place[given.items], kind="stable")
    return ListRow(given.items[best], given.named[best], None)


def ranked(rows: Sequence[ListRow]) -> RankedLists:
    """Lists of all requests, cut or padded to `LONG`."""
    items = np.full((len(rows), LONG), -1, dtype=np.int64)
    named = np.zeros((len(rows), LONG, len(SOURCES)), dtype=bool)
    probability = np.full((len(rows), LONG), np.nan)
    for number, row in enumerate(rows):
        count = min(LONG, len(row.items))
        items[number, :count] = row.items[:count]
        named[number, :count] = row.named[:count]
        if row.probability is not None:
            probability[number, :count] = row.probability[:count]
    return RankedLists(items, named, probability)


def plain_lists(
    retrieval: Retrieval, requests: Sequence[Request], candidates: Sequence[Candidates], whole: bool
) -> dict[str, RankedLists]:
    """Lists of the rows of `PLAIN`: of the candidates, or (`whole`) of the whole catalog but for `retrieval order`."""
    by_recent = popularity_order(retrieval)
    log = retrieval.log
    by_clicks = popularity_order(retrieval.ordered_by(clicks(log)))
    by_latest = popularity_order(retrieval.ordered_by(recent_clicks(log, LATEST_DAYS))) if log.timed else by_clicks
    made: dict[str, list[ListRow]] = {name: [] for name in PLAIN}
    for request, given in zip(requests, candidates, strict=True):
        score = np.zeros(len(by_clicks))
        items, similar = retrieval.covisit_scores(request.clicks)
        score[items] = similar
        together = by_clicks[np.argsort(-score[by_clicks], kind="stable")]
        orders = {
            "popularity": by_clicks,
            "recent popularity": by_recent,
            "latest popularity": by_latest,
            "co-visitation": together,
        }
        for name, order in orders.items():
            made[name].append(unseen(retrieval, request, order) if whole else reordered(given, order))
        made["retrieval order"].append(ListRow(given.items, given.named, None))
    return {name: ranked(rows) for name, rows in made.items()}


def popularity_order(retrieval: Retrieval) -> np.ndarray:
    """All items as the service lists popular ones, what is not available last; int64 `[items]`."""
    return np.concatenate([retrieval.popular, np.flatnonzero(~retrieval.available)])


def unseen(retrieval: Retrieval, request: Request, order: np.ndarray) -> ListRow:
    """The start of a ranking of the whole catalog, without what the user clicked before."""
    free = retrieval.available.copy()
    free[request.clicks] = False
    items = order[free[order]][:LONG]
    return ListRow(items, np.zeros((len(items), len(SOURCES)), dtype=bool), None)
