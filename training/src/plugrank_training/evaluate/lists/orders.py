"""Orders that popular items could be retrieved in, to be compared with later clicks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from plugrank_training.evaluate.lists.log_snapshot import LogSnapshot

# What the service goes by: clicks that count half after `store.popularity_half_life_days`, by default so many; where
# times are only an order, all clicks alike.
HALF_LIFE_DAYS = 30
DAY_MS = 86_400_000
ALL_CLICKS = "clicks"
# Confidence of the lower bound of a click rate, in standard deviations.
Z = 1.96

Order = Callable[[LogSnapshot], np.ndarray]


def counts(log: LogSnapshot) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and impressions of each item, f64 `[items]`."""
    items = len(log.rank)
    clicks, shown = np.bincount(log.item, log.label, items), np.bincount(log.item, minlength=items)
    return clicks, shown.astype(np.float64)


def clicks(log: LogSnapshot) -> np.ndarray:
    """Clicks of each item, f64 `[items]`."""
    return counts(log)[0]


def impressions(log: LogSnapshot) -> np.ndarray:
    """Impressions of each item, clicked or not, f64 `[items]`."""
    return counts(log)[1]


def recent_clicks(log: LogSnapshot, days: float) -> np.ndarray:
    """Clicks of each item, each counting half as much after so many days, f64 `[items]`."""
    if not len(log.timestamp):
        return clicks(log)
    age = (log.timestamp.max() - log.timestamp) / (days * DAY_MS)
    return np.bincount(log.item, log.label * np.exp2(-age), len(log.rank))


def served(log: LogSnapshot) -> np.ndarray:
    """Popularity score of each item as the service has it, f64 `[items]`."""
    return recent_clicks(log, HALF_LIFE_DAYS) if log.timed else clicks(log)


def served_name(timed: bool) -> str:
    """Its name among `orders`."""
    return half_life_name(HALF_LIFE_DAYS) if timed else ALL_CLICKS


def half_life_name(days: int) -> str:
    """Of clicks that count half after so many days."""
    return f"clicks, half-life {days} d"


def click_rate(log: LogSnapshot, impressions: float) -> np.ndarray:
    """Click rate of each item, shrunk to the mean of all by so many impressions, f64 `[items]`."""
    clicked, shown = counts(log)
    mean = clicked.sum() / max(1.0, shown.sum())
    return (clicked + impressions * mean) / (shown + impressions)


def surest_click_rate(log: LogSnapshot) -> np.ndarray:
    """Lower bound of the click rate, `Z` standard deviations below; 0 without impressions. f64 `[items]`.

    Score interval of E. B. Wilson, JASA 22 (1927): with p = c/n,
    `(p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`.
    """
    clicked, shown = counts(log)
    safe = np.maximum(shown, 1.0)
    rate, square = clicked / safe, Z * Z / safe
    spread = Z * np.sqrt(rate * (1.0 - rate) / safe + square / (4.0 * safe))
    return np.where(shown > 0, np.maximum((rate + square / 2.0 - spread) / (1.0 + square), 0.0), 0.0)


def orders(timed: bool) -> dict[str, Order]:
    """All of them by name; with half-lives where times are real (`timed`)."""
    made: dict[str, Order] = {
        ALL_CLICKS: clicks,
        "impressions": impressions,
        "surest click rate": surest_click_rate,
    }
    for strength in (10, 100, 1000):
        made[f"click rate, shrunk by {strength}"] = partial(click_rate, impressions=strength)
    if timed:
        for days in (3, 7, 14, 30, 60, 120):
            made[half_life_name(days)] = partial(recent_clicks, days=days)
    return made
