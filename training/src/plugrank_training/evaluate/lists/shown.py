"""What happened to listed items that the user was then shown.

Recall asks which items a user clicks later, and nobody clicks what is not shown: it is as much about what the logging
policy shows as about what is liked. The share that is clicked of the listed items that were shown is about the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from plugrank_training.evaluate.lists.context import Context
from plugrank_training.evaluate.lists.metrics import DRAWS, SHORT, Interval, RankedLists

# The metric's name in the report.
CLICKED = f"clicked@{SHORT}"


def labels_of(items: np.ndarray, context: Context) -> np.ndarray:
    """Label of each place in the later part at or after the request's moment: 1, 0, or -1 where it was not shown."""
    part, width = context.part, len(context.available)
    key = part.user.astype(np.int64) * width + part.item
    order = np.lexsort((part.timestamp, key))
    key, time, label = key[order], part.timestamp[order], part.label[order]
    found = np.full(items.shape, -1, dtype=np.int64)
    for row, request in enumerate(context.requests.requests):
        wanted = request.user * width + items[row]
        first, last = np.searchsorted(key, wanted, "left"), np.searchsorted(key, wanted, "right")
        for place in np.flatnonzero((last > first) & (items[row] >= 0)).tolist():
            rows = slice(first[place], last[place])
            later = label[rows][time[rows] >= request.moment]
            if len(later):
                found[row, place] = later[0]
    return found


@dataclass(frozen=True)
class ShownClicks:
    """Of each user's first places, those that were shown at or after the request, and of these those that were clicked;
    both f64 `[seeds, users]`, users in their order."""

    clicked: np.ndarray
    shown: np.ndarray

    def of(self, users: np.ndarray) -> ShownClicks:
        """Of some of the users, by a mask."""
        return ShownClicks(self.clicked[:, users], self.shown[:, users])


def shown_clicks(lists: Sequence[RankedLists], context: Context) -> ShownClicks:
    """Counts of lists of several seeds."""
    _, place = np.unique([request.user for request in context.requests.requests], return_inverse=True)
    clicked, shown = [], []
    for one in lists:
        label = labels_of(one.items[:, :SHORT], context)
        clicked.append(np.bincount(place, (label == 1).sum(axis=1)))
        shown.append(np.bincount(place, (label >= 0).sum(axis=1)))
    return ShownClicks(np.stack(clicked), np.stack(shown))


def clicked_share(mine: ShownClicks, other: ShownClicks | None = None) -> dict[str, Any] | None:
    """Clicked of all that were shown, or what is above that of `other`, with its middle 95% over seeds and users, drawn
    as `metrics.interval` draws them; None where nothing was shown."""

    def share(found: ShownClicks, seeds: np.ndarray, users: np.ndarray) -> float:
        return float(found.clicked[seeds][:, users].sum() / max(1.0, found.shown[seeds][:, users].sum()))

    if not mine.shown.any() or (other is not None and not other.shown.any()):
        return None
    random = np.random.default_rng(0)
    seeds, users = mine.shown.shape
    draws: list[tuple[np.ndarray, np.ndarray]] = [(np.arange(seeds), np.arange(users))]
    draws += [(random.integers(0, seeds, (seeds,)), random.integers(0, users, (users,))) for _ in range(DRAWS)]
    found = np.array([share(mine, *drawn) - (share(other, *drawn) if other else 0.0) for drawn in draws])
    low, high = np.quantile(found[1:], [0.025, 0.975])
    return asdict(Interval(float(found[0]), float(low), float(high)))
