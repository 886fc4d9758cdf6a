"""Matched negatives: one for each click, every item as often a negative as it is a positive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples

# Rounds without one fewer conflict before giving up; each round tries a random partner for every conflict.
PATIENCE = 2000


class Seen:
    """Which items lie in a user's sequence, all parts of it."""

    def __init__(self, dataset: Dataset) -> None:
        self.width = max(1, len(dataset.item_ids))
        self.pairs = np.sort(dataset.user.astype(np.int64) * self.width + dataset.item)

    def __call__(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether each pair occurs; bool, shape as given."""
        wanted = user.astype(np.int64) * self.width + item
        place = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return self.pairs[place] == wanted


def match_negatives(dataset: Dataset, rows: np.ndarray, seen: Seen, random: np.random.Generator) -> Examples:
    """The clicks at `rows` and as many negatives, at the same moments, in the data set's order.

    The negatives' items are a permutation of the clicks' items: a random one first, then each negative that lies in
    its user's sequence changes places with a random other one, as long as neither then lies in its own user's, until
    none does. So popularity tells nothing. Raises `ValueError` where that cannot be reached, for instance because a
    clicked item is in every user's sequence.
    """
    user, item = dataset.user[rows], random.permutation(dataset.item[rows])
    conflicts = np.flatnonzero(seen(user, item)) if len(rows) else np.zeros(0, dtype=np.int64)
    stalled = 0
    while len(conflicts):
        left, right = distinct_pairs(conflicts, len(rows), random)
        good = ~seen(user[left], item[right]) & ~seen(user[right], item[left])
        left, right = left[good], right[good]
        item[left], item[right] = item[right].copy(), item[left].copy()
        remaining = conflicts[seen(user[conflicts], item[conflicts])]
        stalled = stalled + 1 if len(remaining) == len(conflicts) else 0
        conflicts = remaining
        if stalled > PATIENCE:
            name = dataset.item_ids[int(item[conflicts[0]])]
            raise ValueError(
                f"no matched negatives for {len(conflicts)} of {len(rows)} clicks (item `{name}` among them): nearly "
                "every user of this part has clicked these items; use more users or a longer part"
            )
    return interleave(dataset, rows, item)


def distinct_pairs(conflicts: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random partner for each conflict; pairs whose places occur in an earlier pair are left out."""
    partner = random.integers(0, count, len(conflicts))
    both = np.stack([conflicts, partner], axis=1).ravel()
    first = np.zeros(len(both), dtype=bool)
    first[np.unique(both, return_index=True)[1]] = True
    alone = first.reshape(-1, 2).all(axis=1)
    return conflicts[alone], partner[alone]


def interleave(dataset: Dataset, rows: np.ndarray, negative: np.ndarray) -> Examples:
    """Clicks and their negatives, sorted by (timestamp, user id, item id); a negative has none of the tasks."""
    clicks = Examples.of(dataset, rows)
    zeros = np.zeros(len(rows), dtype=np.int8)
    drawn = replace(
        clicks,
        item=negative,
        label=zeros,
        further=dict.fromkeys(clicks.further, zeros),
        row=None if clicks.row is None else ~clicks.row,
    )
    both = Examples.joined([clicks, drawn])
    order = np.lexsort((dataset.item_rank[both.item], dataset.user_rank[both.user], both.timestamp))
    return both.take(order)
