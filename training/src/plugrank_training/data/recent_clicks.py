"""How often each item was clicked lately, and of how many impressions, as it was known at any moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex

DAY_MS = 86_400_000
# Clicks that every item has beside its own, so that one without any has a share too.
SMOOTHING = 0.1
# Impressions worth of "like everything" that an item's click rate starts from.
SHRINK = 5.0
# Keeps the logarithm of impressions near 1.
LOG_SCALE = 0.2
# Numbers of `ClickRates`.
RATE_COLUMNS = 2


class RecentClicks:
    """Log share of recent clicks: a click counts half as much after each half-life, and only strictly later.

    Of an item with `c` decayed clicks out of `C` on `n` items: `ln((c + a) / (C + a n) n)`, with `a` = `SMOOTHING`; 0
    is the share of each of `n` items that are clicked alike. One number a half-life, in their order; before them, with
    `rates`, those of `ClickRates`.
    """

    def __init__(
        self,
        dataset: Dataset,
        half_lives_days: Sequence[float],
        hidden: np.ndarray | None = None,
        rates: bool = False,
    ) -> None:
        """Impressions of `hidden` items (rows of the data set) are left out, as if they had never happened.

        Raises `ValueError` where the data set has no real times.
        """
        if dataset.meta.time != "ms":
            raise ValueError(
                "host.recent_clicks_days and host.click_rates: the data set's timestamps are an order, not times"
            )
        self.rates = ClickRates(dataset, hidden) if rates else None
        clicked = dataset.label == 1
        if hidden is not None and len(hidden):
            clicked &= ~np.isin(dataset.item, hidden)
        self.items = len(dataset.item_ids)
        item, moment = dataset.item[clicked].astype(np.int64), dataset.timestamp[clicked]
        self.half_lives_ms = [days * DAY_MS for days in half_lives_days]
        self.by_item = DecayedCounts(item, moment, self.half_lives_ms)
        self.in_all = DecayedCounts(np.zeros_like(item), moment, self.half_lives_ms)

    def at(self, items: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Of items (rows of the data set) strictly before moments; int of one shape -> f32 of it and one more axis."""
        own, total = self.by_item.at(items, moments), self.in_all.at(np.zeros_like(items), moments)
        share = (own + SMOOTHING) / (total + SMOOTHING * self.items) * self.items
        told = np.log(share).astype(np.float32)
        return told if self.rates is None else np.concatenate([self.rates.at(items, moments), told], axis=-1)

    def latest(self, dataset: Dataset) -> np.ndarray:
        """Of every item after all that was recorded, f32, a row for each item."""
        end = int(dataset.timestamp[-1]) + 1 if dataset.rows else 0
        items = np.arange(self.items)
        return self.at(items, np.full(self.items, end, dtype=np.int64))


class ClickRates:
    """The click rate of an item's impressions strictly before a moment, and how many there are.

    Of `c` clicks out of `n` impressions where `p` of all impressions until then were clicked: the log-odds of
    `(c + a p) / (n + a)` less those of `p`, with `a` = `SHRINK`; and `ln(1 + n)`, scaled. Both are 0 of an item that
    was never shown.
    """

    def __init__(self, dataset: Dataset, hidden: np.ndarray | None) -> None:
        self.by_item = HistoryIndex.by_item(dataset, hidden)
        kept = np.ones(dataset.rows, dtype=bool) if hidden is None else ~np.isin(dataset.item, hidden)
        self.timestamp = dataset.timestamp[kept]
        self.clicks_before = np.concatenate([[0], np.cumsum(dataset.label[kept] == 1)])

    def at(self, items: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Of items strictly before moments, int of one shape -> f32 of it and one more axis of `RATE_COLUMNS`."""
        shown, clicks = self.by_item.counts(np.asarray(items, dtype=np.int64), np.asarray(moments, dtype=np.int64))
        seen = np.searchsorted(self.timestamp, moments)
        # Never 0 or 1, whatever few impressions there are.
        base = (self.clicks_before[seen] + 1.0) / (seen + 2.0)
        rate = (clicks + SHRINK * base) / (shown + SHRINK)
        told = np.log(rate / (1.0 - rate)) - np.log(base / (1.0 - base))
        return np.stack([told, LOG_SCALE * np.log1p(shown)], axis=-1).astype(np.float32)


class DecayedCounts:
    """Events by key, each counting half as much after each half-life, up to any moment."""

    def __init__(self, key: np.ndarray, moment: np.ndarray, half_lives_ms: Sequence[float]) -> None:
        order = np.lexsort((moment, key))
        key, moment = key[order], moment[order]
        self.start = int(moment.min()) if len(moment) else 0
        # Moments of one key stay below those of the next.
        self.span = int(moment.max()) - self.start + 2 if len(moment) else 2
        self.place = key * self.span + (moment - self.start)
        self.key = key
        self.rates = [np.log(2.0) / half_life for half_life in half_lives_ms]
        _, number = np.unique(key, return_inverse=True)
        # f64 [events] each: logarithm of the count just after an event, as it would be at the start of time.
        self.after = [decayed_sums(number, (moment - self.start) * rate) for rate in self.rates]

    def at(self, key: np.ndarray, moment: np.ndarray) -> np.ndarray:
        """Counts strictly before moments, f64 of the shape of both and one more axis, the half-lives."""
        key, passed = np.asarray(key, dtype=np.int64), np.asarray(moment, dtype=np.int64) - self.start
        wanted = key * self.span + np.clip(passed, 0, self.span - 1)
        found = np.searchsorted(self.place, wanted) - 1
        counts = np.zeros((*found.shape, len(self.rates)))
        if not len(self.key):
            return counts
        last = np.maximum(found, 0)
        there = (found >= 0) & (self.key[last] == key)
        for column, (rate, after) in enumerate(zip(self.rates, self.after, strict=True)):
            counts[..., column] = np.where(there, np.exp(np.where(there, after[last] - passed * rate, 0.0)), 0.0)
        return counts


def decayed_sums(number: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """`ln` of the running sum of `e^exponent` within each number (0, 1, ..., rising); f64 of their shape.

    One accumulation over all: each number's terms are lifted so far above those before it that they add nothing.
    """
    if not len(number):
        return np.zeros(0)
    lift = number * (float(exponent.max()) + 50.0)
    summed: np.ndarray = np.logaddexp.accumulate(exponent + lift) - lift
    return summed
