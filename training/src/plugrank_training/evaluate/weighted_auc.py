"""AUC and GAUC of one model under many weightings of the same impressions."""

from __future__ import annotations

import numpy as np


class WeightedAuc:
    """AUC of scores against labels, for any weights of the members (users, items) that impressions belong to.

    With `group` (for GAUC: users) it is the mean of the AUCs within groups, weighted by the groups' weight, groups of
    one class left out. All arrays are `[n]`; `member` holds rows of the weights, and without it there is one member.
    Sorting is done once, here; a weighting then costs one cumulative sum over the impressions.
    """

    def __init__(
        self, label: np.ndarray, score: np.ndarray, group: np.ndarray | None = None, member: np.ndarray | None = None
    ) -> None:
        if np.isnan(score).any():
            raise ValueError(f"score {int(np.argmax(np.isnan(score)))} is not a number")
        group = np.zeros(len(label), dtype=np.int64) if group is None else np.unique(group, return_inverse=True)[1]
        member = np.zeros(len(label), dtype=np.int64) if member is None else member
        clicked = np.asarray(label) == 1
        # Groups of one class have no AUC under any weights.
        both = np.bincount(group, clicked) * np.bincount(group, ~clicked) > 0
        kept = np.flatnonzero(both[group])
        kept = kept[np.lexsort((score[kept], group[kept]))]
        positive, negative = kept[clicked[kept]], kept[~clicked[kept]]
        self.positive_member, self.negative_member = member[positive], member[negative]
        # Per clicked impression: how many impressions without a click stand before it, and before or level with it.
        self.below, self.level = places(group, score, positive, negative)
        self.positive_start = run_starts(group[positive])
        self.negative_start = run_starts(group[negative])

    def __call__(self, weight: np.ndarray) -> float:
        """Under weights of the members, f64 `[members]`, from 0; NaN where no group has weight in both classes."""
        if not len(self.positive_start):
            return float("nan")
        positive = weight[self.positive_member]
        # sum[k]: weight of the first k impressions without a click.
        total = np.concatenate([[0.0], np.cumsum(weight[self.negative_member])])
        won = np.add.reduceat(positive * 0.5 * (total[self.below] + total[self.level]), self.positive_start)
        clicks = np.add.reduceat(positive, self.positive_start)
        before = total[self.negative_start]
        passes = np.diff(before, append=total[-1])
        there = clicks * passes > 0
        if not there.any():
            return float("nan")
        area = (won[there] - clicks[there] * before[there]) / (clicks[there] * passes[there])
        mass = clicks[there] + passes[there]
        return float(area @ mass / mass.sum())


def run_starts(sorted_values: np.ndarray) -> np.ndarray:
    """Where each run of equal values begins."""
    new = np.ones(len(sorted_values), dtype=bool)
    new[1:] = sorted_values[1:] != sorted_values[:-1]
    return np.flatnonzero(new)


def places(
    group: np.ndarray, score: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each of `positive`, how many of `negative` are below it, and below or level, by (group, score).

    Both hold rows in that order.
    """
    rank = np.unique(score, return_inverse=True)[1]
    # One number that orders as (group, score) does.
    key = group * (int(rank.max(initial=0)) + 1) + rank
    return np.searchsorted(key[negative], key[positive], "left"), np.searchsorted(key[negative], key[positive], "right")
