"""What `simshop truth` prints: the true log-odds of a click of some shoppers on every item, at a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plugrank_training.data.dataset import Dataset

# Places of a list whose clicks are expected.
PLACES = 10


@dataclass(frozen=True)
class ShopTruth:
    """By rows of the data set's users and items."""

    # Milliseconds.
    at: int
    # Taken from the log-odds for each step of `ln(1 + position)`.
    position: float
    # int64 [shoppers], and a line on the taste of each.
    users: np.ndarray
    tastes: tuple[str, ...]
    # f64 [shoppers, items], of a click in the first place; NaN where an item is not there at the moment.
    logits: np.ndarray

    def expected_clicks(self, shopper: int, items: np.ndarray) -> float:
        """Of the first `PLACES` of a list, best first, that this shopper is shown."""
        shown = items[:PLACES]
        logits = self.logits[shopper, shown] - self.position * np.log1p(np.arange(len(shown)))
        return float((1.0 / (1.0 + np.exp(-logits))).sum())

    def best(self, shopper: int, items: np.ndarray) -> np.ndarray:
        """Items in the order of what this shopper truly likes: no list of them is expected more clicks."""
        order: np.ndarray = items[np.argsort(-self.logits[shopper, items], kind="stable")]
        return order


def read_truth(file: Path, dataset: Dataset) -> ShopTruth:
    """Raises `ValueError` where the file is none of `simshop truth`, or of another data set."""
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        item_of = {identity: row for row, identity in enumerate(dataset.item_ids)}
        user_of = {identity: row for row, identity in enumerate(dataset.user_ids)}
        shoppers = told["shoppers"]
        items = np.array([item_of[identity] for identity in told["items"]], dtype=np.int64)
        users = np.array([user_of[shopper["user_id"]] for shopper in shoppers], dtype=np.int64)
        logits = np.full((len(shoppers), len(dataset.item_ids)), np.nan)
        logits[:, items] = np.array([shopper["logits"] for shopper in shoppers])
        tastes = tuple(taste(shopper) for shopper in shoppers)
        return ShopTruth(int(told["at"]), float(told["position"]), users, tastes, logits)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"--truth {file}: not what `simshop truth` prints: {error}") from error
    except KeyError as error:
        raise ValueError(f"--truth {file}: {error} is missing there, or not in the data set") from error


def taste(shopper: dict[str, Any]) -> str:
    """A line on what a shopper likes."""
    departments = " and ".join(shopper["departments"])
    return f"{shopper['style']} {departments}, {shopper['budget']} prices; not {shopper['not_style']}"


def contrasting(truth: ShopTruth, items: np.ndarray, count: int = 3) -> list[int]:
    """Shoppers whose likings of `items` differ most: each next one is least like those before; places in `users`."""
    liking = truth.logits[:, items]
    # Quality is liked by all alike, and tells nobody from another.
    liking = liking - liking.mean(axis=0)
    liking = liking - liking.mean(axis=1, keepdims=True)
    strength = np.linalg.norm(liking, axis=1)
    unit = liking / np.maximum(strength, 1e-12)[:, None]
    chosen = [int(strength.argmax())]
    while len(chosen) < min(count, len(unit)):
        nearest = (unit @ unit[chosen].T).max(axis=1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return chosen
