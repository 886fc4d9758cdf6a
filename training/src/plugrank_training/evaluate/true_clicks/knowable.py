"""What anybody could know of items that nobody has clicked: lists of oracles, which bound those of models.

The true log-odds of some shoppers on all items are a product of shoppers' tastes and items' traits, and what all
shoppers think of an item alike, its quality among it. Of a fresh item the traits can be read off its content at best;
its quality cannot be known; and tastes must be learned from what a shopper clicked and refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugrank_training.evaluate.true_clicks.shop_truth import ShopTruth

# Traits with a smaller share of the largest one's strength are noise of the decomposition.
SMALLEST = 1e-6
# Ridge of reading what all think of an item off its traits; in squares of standard deviations times items.
RIDGE = 0.03
NEWTON_STEPS = 10


@dataclass(frozen=True)
class Log:
    """Clicks and refusals before the moment, in order of time, each `[rows]`."""

    user: np.ndarray
    item: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Traits:
    """Of all items, `[items, traits]` and `[items]`: what tells shoppers apart, and what all think alike; of shoppers,
    `[shoppers, traits]`, their true tastes, each trait's variance 1."""

    rows: np.ndarray
    common: np.ndarray
    tastes: np.ndarray


def traits_of(truth: ShopTruth, items: np.ndarray) -> Traits:
    """Decompose the log-odds of `items`, rows of the data set; other items have zeros."""
    logits = truth.logits[:, items]
    common = logits.mean(axis=0)
    apart = logits - common
    apart = apart - apart.mean(axis=1, keepdims=True)
    left, strength, right = np.linalg.svd(apart, full_matrices=False)
    count = int((strength > SMALLEST * strength[0]).sum())
    scale = len(logits) ** 0.5
    rows = np.zeros((truth.logits.shape[1], count))
    rows[items] = (right[:count] * strength[:count, None]).T / scale
    all_common = np.zeros(truth.logits.shape[1])
    all_common[items] = common
    return Traits(rows, all_common, left[:, :count] * scale)


def common_by_traits(traits: Traits, known: np.ndarray) -> np.ndarray:
    """What all think of an item as its traits tell, learned from items that are known, `[items]`."""
    rows, target = traits.rows[known], traits.common[known]
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-12
    scaled = (rows - middle) / spread
    left = scaled.T @ scaled + RIDGE * len(known) * np.eye(rows.shape[1])
    weights = np.linalg.solve(left, scaled.T @ (target - target.mean()))
    told: np.ndarray = (traits.rows - middle) / spread @ weights + target.mean()
    return told


def learned_taste(rows: np.ndarray, offset: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The most likely taste under a standard normal prior, by Newton's method; a constant of the user's own is learned
    and left out. `rows [n, traits]`, log-odds `offset [n]` that all share."""
    known = np.hstack([rows, np.ones((len(rows), 1))])
    taste = np.zeros(known.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-(known @ taste + offset)))
        left = (known * (chance * (1.0 - chance))[:, None]).T @ known + np.eye(len(taste))
        taste = taste + np.linalg.solve(left, known.T @ (label - chance) - taste)
    return taste[:-1]


def newest(log: Log, rows: np.ndarray, most: tuple[int, int]) -> np.ndarray:
    """Of a user's rows the last clicks and the last refusals, at most so many."""
    kept = [rows[log.label[rows] == label][::-1][:count] for label, count in zip((1, 0), most, strict=True)]
    return np.sort(np.concatenate(kept))


def knowable_lists(
    truth: ShopTruth, log: Log, items: np.ndarray, fresh: np.ndarray, history: tuple[int, int]
) -> dict[str, list[np.ndarray]]:
    """Lists of the `fresh` of all `items` for every shopper: traits and taste known, taste learned from the whole log,
    and from a `history` of so many clicks and refusals at most."""
    traits = traits_of(truth, items)
    common = common_by_traits(traits, np.setdiff1d(items, fresh))
    names = {"from the whole log": (len(log.user),) * 2, f"from {history[0]} clicks and {history[1]} refusals": history}
    lists: dict[str, list[np.ndarray]] = {"traits and taste known": []}
    for place, user in enumerate(truth.users.tolist()):
        scores = {"traits and taste known": traits.rows[fresh] @ traits.tastes[place]}
        rows = np.flatnonzero((log.user == user) & np.isin(log.item, items))
        for name, most in names.items():
            kept = newest(log, rows, most)
            taste = learned_taste(traits.rows[log.item[kept]], traits.common[log.item[kept]], log.label[kept])
            scores[f"traits known, taste {name}"] = traits.rows[fresh] @ taste
        for name, told in scores.items():
            lists.setdefault(name, []).append(fresh[np.argsort(-(told + common[fresh]), kind="stable")])
    return lists
