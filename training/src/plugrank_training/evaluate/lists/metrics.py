"""How good lists are against what was clicked later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugrank_training.evaluate.lists.requests import Request

SHORT, LONG = 20, 100
DRAWS = 1000


@dataclass(frozen=True)
class RankedLists:
    """Lists of one model, one of each request, best first."""

    # int64 [requests, LONG]; -1 where a list is shorter.
    items: np.ndarray
    # bool [requests, LONG, sources]; all False where nothing was retrieved by source.
    named: np.ndarray
    # Calibrated click probabilities, f64 [requests, LONG]; NaN where the model gives none.
    probability: np.ndarray


@dataclass(frozen=True)
class ListScores:
    """Metrics of each request, f64 `[requests]`."""

    recall_short: np.ndarray
    recall_long: np.ndarray
    ndcg_short: np.ndarray

    def by_name(self) -> dict[str, np.ndarray]:
        """By the names of the report."""
        return {
            f"recall@{SHORT}": self.recall_short,
            f"recall@{LONG}": self.recall_long,
            f"ndcg@{SHORT}": self.ndcg_short,
        }


def hit_places(items: np.ndarray, requests: Sequence[Request]) -> np.ndarray:
    """Which places of `[requests, n]` are later clicks; bool."""
    found = np.zeros(items.shape, dtype=bool)
    for row, request in enumerate(requests):
        found[row] = np.isin(items[row], request.hits)
    return found


def score_lists(items: np.ndarray, requests: Sequence[Request]) -> ListScores:
    """Recall and NDCG of lists `[requests, LONG]`.

    Recall@k: later clicks among the first k over all later clicks. NDCG@k: gains of 1, discounts `1 / log2(1 + rank)`,
    over those of a list that begins with all later clicks (Jarvelin and Kekalainen, TOIS 2002).
    """
    found = hit_places(items, requests)
    wanted = np.array([len(request.hits) for request in requests])
    discount = 1.0 / np.log2(np.arange(SHORT) + 2.0)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    gain = (found[:, :SHORT] * discount).sum(axis=1)
    return ListScores(
        recall_short=found[:, :SHORT].sum(axis=1) / wanted,
        recall_long=found[:, :LONG].sum(axis=1) / wanted,
        ndcg_short=gain / ideal[np.minimum(wanted, SHORT)],
    )


def by_user(values: np.ndarray, requests: Sequence[Request]) -> np.ndarray:
    """Mean over each user's requests, f64 `[users]`, users in their order."""
    _, place = np.unique([request.user for request in requests], return_inverse=True)
    mean: np.ndarray = np.bincount(place, values) / np.bincount(place)
    return mean


@dataclass(frozen=True)
class Interval:
    """A mean, or a difference of means, with its middle 95%."""

    value: float
    low: float
    high: float


def interval(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Of the mean of f64 `[seeds, users]`; each draw resamples seeds and users, both with replacement.

    For a paired difference, `values` are the differences. Draws are the same for every call of equal shape.
    """
    random = np.random.default_rng(seed)
    seeds, users = values.shape
    means = np.empty(draws)
    for draw in range(draws):
        chosen = values[random.integers(0, seeds, seeds)].mean(axis=0)
        means[draw] = chosen[random.integers(0, users, users)].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
