"""Items that clicks are trained against beside the logged impressions: drawn from the catalog and as retrieval would.

Each is drawn with a chance that is known, so that a softmax over what was drawn can be corrected to one over the whole
catalog (Yi et al., Sampling-Bias-Corrected Neural Modeling, RecSys 2019; Bengio and Senecal, 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from plugrank_training.config import ListConfig
from plugrank_training.data.covisit_neighbours import covisit_neighbours
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryBatch
from plugrank_training.fit.recent_draws import RecentDraws

# As the retrieval service weighs clicks and how many it reads.
HALF_LIFE_CLICKS, CLICKS = 8.0, 20
NEIGHBOURS, CATEGORY_ITEMS = 75, 60
# Beyond so many items nearest neighbours are left out of the hard negatives: they are searched exactly here.
SEARCHED_ITEMS = 100_000
ITEMS_AT_ONCE = 2048


@dataclass(frozen=True)
class ListDraw:
    """Drawn items of `G` lists, and the logarithm of every chance to be drawn."""

    # int64 [G, N], f64 [G, N]; bool [G, N]: not to be trained against, as the user clicked it before.
    items: np.ndarray
    log_chance: np.ndarray
    blocked: np.ndarray
    # f64 [G, C]: what the chance of each candidate would have been.
    log_chance_candidates: np.ndarray


class ListNegatives:
    """Draws items: `hard` of them as retrieval's sources name them after the user's clicks, the rest from the catalog.

    After a click, drawn by recency as the service weighs it, an item is drawn evenly among three sources: co-visited
    items in proportion to their similarity, the nearest by content, the popular ones of the click's categories. A user
    without clicks gets all from the catalog, of which popular items are a part.
    """

    def __init__(
        self,
        train: Examples,
        categories: Sequence[Sequence[str]],
        vectors: np.ndarray,
        config: ListConfig,
    ) -> None:
        self.config = config
        items = len(categories)
        clicks = np.bincount(train.item, train.label, minlength=items)
        even = np.full(items, 1.0 / items)
        by_clicks = clicks / clicks.sum() if clicks.sum() else even
        # f64 [items], the chance of each by a draw from the catalog.
        self.base = config.popular * by_clicks + (1.0 - config.popular) * even
        self.base_sum = np.cumsum(self.base)
        # What popular items are drawn by, where that changes with time.
        self.recent = RecentDraws(train, config.popular_days) if config.popular_days else None
        self.log_popularity = np.log(0.5 * by_clicks + 0.5 * even)
        self.after = self.hard_table(train, categories, vectors)

    @staticmethod
    def hard_table(train: Examples, categories: Sequence[Sequence[str]], vectors: np.ndarray) -> sparse.csr_matrix:
        """Chance of each item after a click on another, rows summing to 1 or, without any neighbour, to 0."""
        items = len(categories)
        clicked = train.label == 1
        tables = [covisit_neighbours(train.user[clicked], train.item[clicked], items)]
        if items <= SEARCHED_ITEMS:
            tables.append(content_neighbours(vectors))
        tables.append(category_neighbours(train, categories))
        summed = sum((normalised(table) for table in tables), sparse.csr_matrix((items, items)))
        made = normalised(summed.tocsr())
        made.sort_indices()
        return made

    def chances(self, past: HistoryBatch) -> sparse.csr_matrix:
        """Chance of each item by a hard draw, `[G, items]`; rows sum to 1, or to 0 where there is nothing to go by."""
        clicked = (past.mask > 0) & (past.labels == 1)
        place = np.cumsum(clicked, axis=1) - 1
        clicked &= place < CLICKS
        rows, columns = np.nonzero(clicked)
        weight = np.exp2(-place[rows, columns] / HALF_LIFE_CLICKS)
        shape = (len(past.items), self.after.shape[0])
        weights = sparse.csr_matrix((weight, (rows, past.items[rows, columns])), shape=shape)
        found = normalised((weights @ self.after).tocsr())
        found.sort_indices()
        return found

    def from_catalog(self, moments: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """`count` items of the whole catalog for each list, `[G, count]`."""
        shape, items = (len(moments), count), len(self.base)
        if self.recent is None:
            drawn = np.searchsorted(self.base_sum, random.random(shape) * self.base_sum[-1], side="right")
            return np.minimum(drawn, items - 1)
        popular = (random.random(shape) < self.config.popular) & self.recent.known(moments)[:, None]
        return np.where(popular, self.recent.draw(moments, count, random), random.integers(0, items, shape))

    def catalog_chances(self, items: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Of each of `items [G, n]` by `from_catalog`, f64."""
        if self.recent is None:
            return self.base[items]
        popular = np.where(self.recent.known(moments), self.config.popular, 0.0)[:, None]
        return popular * self.recent.chances(items, moments) + (1.0 - popular) / len(self.base)

    def draw(
        self, past: HistoryBatch, candidates: np.ndarray, moments: np.ndarray, random: np.random.Generator
    ) -> ListDraw:
        """Items for lists with these histories and candidates, `[G, C]`, at these moments, `[G]`."""
        lists, count = len(candidates), self.config.negatives
        table = self.chances(past)
        sums = np.asarray(table.sum(axis=1)).ravel()
        known = sums > 0
        hard = (random.random((lists, count)) < self.config.hard) & known[:, None]
        drawn = self.from_catalog(moments, count, random)
        if table.nnz:
            total = np.concatenate([[0.0], np.cumsum(table.data)])
            start = total[table.indptr[:-1]][:, None]
            width = total[table.indptr[1:]][:, None] - start
            place = np.searchsorted(total, start + random.random((lists, count)) * width, side="right") - 1
            first, last = table.indptr[:-1][:, None], np.maximum(table.indptr[1:], 1)[:, None] - 1
            place = np.clip(place, np.minimum(first, table.nnz - 1), last)
            drawn = np.where(hard, table.indices[place], drawn)
        shares = np.where(known, self.config.hard, 0.0)[:, None]
        both = np.concatenate([drawn, candidates], axis=1)
        chance = (1.0 - shares) * self.catalog_chances(both, moments) + shares * lookup(table, both)
        log_chance = np.log(np.maximum(chance, 1e-12))
        return ListDraw(drawn, log_chance[:, :count], self.blocked(past, drawn), log_chance[:, count:])

    @staticmethod
    def blocked(past: HistoryBatch, drawn: np.ndarray) -> np.ndarray:
        """Which drawn items the user clicked before, as retrieval leaves them out; bool `[G, N]`."""
        earlier = np.where((past.mask > 0) & (past.labels == 1), past.items, -1)
        width = int(max(drawn.max(), earlier.max())) + 1
        row = np.arange(len(drawn))[:, None] * width
        return np.isin(row + drawn, (row + earlier)[earlier >= 0])


def lookup(table: sparse.csr_matrix, columns: np.ndarray) -> np.ndarray:
    """Entries of a sparse table with sorted indices at `columns [rows, n]`; f64."""
    if not table.nnz:
        return np.zeros(columns.shape)
    width = table.shape[1]
    keys = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr)) * width + table.indices
    wanted = np.arange(table.shape[0])[:, None] * width + columns
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, table.data[place], 0.0)


def normalised(table: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows that sum to 1; empty ones stay empty."""
    sums = np.asarray(table.sum(axis=1), dtype=np.float64).ravel()
    return (sparse.diags(np.where(sums > 0, 1.0 / np.maximum(sums, 1e-30), 0.0)) @ table).tocsr()


def content_neighbours(vectors: np.ndarray) -> sparse.csr_matrix:
    """The items nearest by cosine, `vectors` unit rows `[items, d]`; 1 for each neighbour."""
    items = len(vectors)
    count = min(NEIGHBOURS, items - 1)
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    there = np.abs(vectors).sum(axis=1) > 0
    for first in range(0, items if count > 0 else 0, ITEMS_AT_ONCE):
        cosine = vectors[first : first + ITEMS_AT_ONCE] @ vectors.T
        own = np.arange(len(cosine))
        cosine[own, first + own] = -np.inf
        cosine[:, ~there] = -np.inf
        best = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        good = np.isfinite(np.take_along_axis(cosine, best, axis=1)) & there[first + own][:, None]
        rows.append(np.broadcast_to(first + own[:, None], best.shape)[good])
        columns.append(best[good])
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(items, items))


def category_neighbours(train: Examples, categories: Sequence[Sequence[str]]) -> sparse.csr_matrix:
    """The most clicked items of an item's categories; 1 for each, more where categories share it."""
    items = len(categories)
    clicks = np.bincount(train.item, train.label, minlength=items)
    order = np.argsort(-clicks, kind="stable")
    names = sorted({name for row in categories for name in row})
    number = {name: place for place, name in enumerate(names)}
    pairs = [(item, number[name]) for item, row in enumerate(categories) for name in dict.fromkeys(row)]
    if not pairs:
        return sparse.csr_matrix((items, items))
    row, column = np.array(pairs).T
    member = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(items, len(names)))
    ranked = member[order].tocsc()
    top = [
        order[np.sort(ranked.indices[ranked.indptr[k] : ranked.indptr[k + 1]])[:CATEGORY_ITEMS]]
        for k in range(len(names))
    ]
    owner = np.repeat(np.arange(len(names)), [len(one) for one in top])
    lists = sparse.csr_matrix((np.ones(len(owner)), (owner, np.concatenate(top))), shape=(len(names), items))
    return (member @ lists).tocsr()
