"""The retrieval service's sources, by the same definitions, over a data set as it stood at a moment.

What differs: nearest neighbours are exact, where the service asks an HNSW index; and co-visitation is what the loader
counted up to the moment, with nothing observed since.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from scipy import sparse

from plugrank_training.data.covisit_neighbours import covisit_neighbours
from plugrank_training.evaluate.lists.fusion import Fused, RankedList, fuse
from plugrank_training.evaluate.lists.log_snapshot import LogSnapshot
from plugrank_training.evaluate.lists.orders import served


class RetrievalSource(Enum):
    """Where a candidate comes from; the value is the name in the REST API."""

    ANN = "ann"
    CO_VISITATION = "co_visitation"
    CATEGORY = "category"
    POPULAR = "popular"
    FRESH = "fresh"


SOURCES = tuple(RetrievalSource)


@dataclass(frozen=True)
class RetrievalOptions:
    """The service's settings (`[retrieval]`), with its defaults."""

    limit: int = 300
    seen_clicks: int = 1000
    shares: tuple[float, ...] = (0.5, 0.3, 0.2, 0.2, 0.1)
    half_life_clicks: float = 8.0
    mean_clicks: int = 50
    interests: int = 3
    covisit_clicks: int = 20
    categories: int = 3
    category_list: int = 2000

    def quota(self, source: RetrievalSource) -> int:
        """Candidates that a source is asked for."""
        return int(np.ceil(self.shares[SOURCES.index(source)] * self.limit))


@dataclass(frozen=True)
class Candidates:
    """Candidates of one request, in retrieval's order."""

    # int64 [n]
    items: np.ndarray
    # bool [n, sources], in the order of `SOURCES`; what fills up to the limit counts as popular.
    named: np.ndarray


class Retrieval:
    """Answers requests over one snapshot; item vectors are given apart, as they differ from model to model."""

    def __init__(self, log: LogSnapshot, options: RetrievalOptions, as_of: int) -> None:
        self.options, self.as_of, self.log = options, as_of, log
        count = len(log.rank)
        self.rank = log.rank
        # An item that is created later is not in the catalog yet.
        self.available = ~log.dated | (log.created_at <= as_of)
        self.clicks = np.bincount(log.item, log.label, minlength=count).astype(np.int64)
        self.impressions = np.bincount(log.item, minlength=count)
        names = sorted({name for row in log.categories for name in row})
        number = {name: place for place, name in enumerate(names)}
        self.categories_of = [[number[name] for name in dict.fromkeys(row)] for row in log.categories]
        self.category_interest = np.zeros(len(names))
        self.list_popular(served(log))
        newest = np.lexsort((-log.rank, -log.created_at.astype(np.float64)))
        self.newest = newest[(log.dated & self.available)[newest]]
        clicked = log.label == 1
        self.neighbours: sparse.csr_matrix = covisit_neighbours(log.user[clicked], log.item[clicked], count)

    def list_popular(self, score: np.ndarray) -> None:
        """Lists available items, overall and by category, by a score `[items]`, best first; equals by clicks, then by
        age, newest first. A category counts as much as its items together."""
        order = np.lexsort((self.rank, -self.log.created_at.astype(np.float64), -self.clicks, -score))
        self.popular = order[self.available[order]]
        lists: list[list[int]] = [[] for _ in self.category_interest]
        self.category_interest = np.zeros(len(lists))
        for item in self.popular.tolist():
            for category in self.categories_of[item]:
                if len(lists[category]) < self.options.category_list:
                    lists[category].append(item)
                self.category_interest[category] += score[item]
        self.by_category = [np.array(one, dtype=np.int64) for one in lists]
        filled = [place for place, one in enumerate(lists) if one]
        self.category_order = sorted(filled, key=lambda place: -self.category_interest[place])

    def ordered_by(self, score: np.ndarray) -> Retrieval:
        """The same, were popular items, overall and by category, in the order of another score, `[items]`."""
        made = copy.copy(self)
        made.list_popular(score)
        return made

    def asking(self, shares: tuple[float, ...]) -> Retrieval:
        """The same with other shares of the sources."""
        made = copy.copy(self)
        made.options = replace(self.options, shares=shares)
        return made

    def retrieve(self, clicks: np.ndarray, vectors: np.ndarray | None) -> Candidates:
        """Candidates for a user who clicked `clicks` (distinct items, latest first, int64 `[n]`).

        `vectors`: unit item vectors, f32 `[items, d]`, zeros where an item has none; None turns `ann` off.
        """
        clicks = clicks[: self.options.seen_clicks]
        free = self.available.copy()
        free[clicks] = False
        lists = [
            self.ann(clicks, free, vectors),
            self.co_visitation(clicks, free),
            self.category(clicks, free),
            take(self.popular, free, self.options.quota(RetrievalSource.POPULAR)),
            take(self.newest, free, self.options.quota(RetrievalSource.FRESH)),
        ]
        merged = fuse([RankedList(items) for items in lists])
        return self.filled(merged, free)

    def filled(self, merged: Fused, free: np.ndarray) -> Candidates:
        """Filtered, and filled up to the limit from the popular items."""
        limit = self.options.limit
        kept = free[merged.items]
        items, named = merged.items[kept][:limit], merged.named[kept][:limit]
        missing = limit - len(items)
        if missing > 0:
            left = free.copy()
            left[items] = False
            more = self.popular[left[self.popular]][:missing]
            items = np.concatenate([items, more])
            from_popular = np.zeros((len(more), len(SOURCES)), dtype=bool)
            from_popular[:, SOURCES.index(RetrievalSource.POPULAR)] = True
            named = np.concatenate([named, from_popular])
        return Candidates(items, named)

    def ann(self, clicks: np.ndarray, free: np.ndarray, vectors: np.ndarray | None) -> np.ndarray:
        """Nearest to the recency-weighted mean of the clicks, and to each of the latest few."""
        options, enough = self.options, self.options.quota(RetrievalSource.ANN)
        if vectors is None or not len(clicks) or not enough:
            return np.zeros(0, dtype=np.int64)
        read = clicks[: max(options.mean_clicks, options.interests)]
        known = np.flatnonzero(np.abs(vectors[read]).sum(axis=1) > 0)
        if not len(known):
            return np.zeros(0, dtype=np.int64)
        rows = vectors[read[known]]
        recent = known < options.mean_clicks
        weight = np.exp2(-known[recent] / options.half_life_clicks).astype(np.float32)
        mean = weight @ rows[recent]
        interests = options.interests if len(known) > 1 else 0
        searches = [(mean, enough)] if np.linalg.norm(mean) > 1e-12 else []
        searches += [(row, -(-enough // 2)) for row in rows[:interests]]
        there = np.flatnonzero(free & (np.abs(vectors).sum(axis=1) > 0))
        lists = [RankedList(nearest(vector, vectors, there, count)) for vector, count in searches]
        return fuse(lists).items[:enough]

    def covisit_scores(self, clicks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Neighbours of the latest clicks with their summed similarity, later clicks weighing more; best first."""
        latest = clicks[: self.options.covisit_clicks]
        if not len(latest):
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        weight = np.exp2(-np.arange(len(latest)) / self.options.half_life_clicks)
        summed = sparse.csr_matrix(weight) @ self.neighbours[latest].astype(np.float64)
        summed = summed.tocoo()
        order = np.lexsort((self.rank[summed.col], -summed.data))
        return summed.col[order].astype(np.int64), summed.data[order]

    def co_visitation(self, clicks: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Clicked together with the latest clicks."""
        return take(self.covisit_scores(clicks)[0], free, self.options.quota(RetrievalSource.CO_VISITATION))

    def category(self, clicks: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Popular in the user's categories, each in proportion to its clicks; without clicks, in each in turn."""
        enough = self.options.quota(RetrievalSource.CATEGORY)
        counts: dict[int, list[int]] = {}
        for place, item in enumerate(clicks.tolist()):
            for category in self.categories_of[item]:
                counts.setdefault(category, [0, place])[0] += 1
        tastes = sorted(counts.items(), key=lambda entry: (-entry[1][0], entry[1][1], entry[0]))
        wanted = [(category, count) for category, (count, _) in tastes[: self.options.categories]]
        if not wanted:
            wanted = [(category, 1) for category in self.category_order[:enough]]
        total = max(1, sum(count for _, count in wanted))
        lists = [
            RankedList(take(self.by_category[category], free, -(-enough * count // total)), float(count))
            for category, count in wanted
        ]
        return fuse(lists).items if lists else np.zeros(0, dtype=np.int64)


def take(ranking: np.ndarray, free: np.ndarray, enough: int) -> np.ndarray:
    """The start of a ranking up to `enough` items that are free, and those that are not between them."""
    count = np.cumsum(free[ranking])
    return ranking[: int(np.searchsorted(count, enough)) + 1] if enough > 0 else ranking[:0]


def nearest(vector: np.ndarray, vectors: np.ndarray, there: np.ndarray, count: int) -> np.ndarray:
    """The `count` of items `there` nearest by cosine, nearest first."""
    cosine = vectors[there] @ vector
    count = min(count, len(there))
    if not count:
        return there[:0]
    best = np.argpartition(-cosine, count - 1)[:count]
    return there[best[np.lexsort((there[best], -cosine[best]))]]
