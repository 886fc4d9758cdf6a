"""Draws items as often as they were clicked lately, each as of a moment of its own."""

from __future__ import annotations

import numpy as np

from plugrank_training.data.examples import Examples
from plugrank_training.data.recent_clicks import DAY_MS, DecayedCounts


class RecentDraws:
    """Of clicks strictly before a moment one is drawn, each half as likely after each half-life; its item is given."""

    def __init__(self, clicks: Examples, half_life_days: float) -> None:
        """`clicks`: impressions, of which those that were clicked count."""
        clicked = clicks.label == 1
        item, moment = clicks.item[clicked].astype(np.int64), clicks.timestamp[clicked].astype(np.int64)
        order = np.argsort(moment, kind="stable")
        self.item, self.moment = item[order], moment[order]
        half_life = half_life_days * DAY_MS
        self.by_item = DecayedCounts(item, moment, [half_life])
        self.in_all = DecayedCounts(np.zeros_like(item), moment, [half_life])
        # Sums of weights as of the last click; what is a thousand half-lives older weighs nothing.
        end = self.moment[-1] if len(self.moment) else 0
        self.sums = np.concatenate([[0.0], np.cumsum(np.exp2((self.moment - end) / half_life))])

    def known(self, moments: np.ndarray) -> np.ndarray:
        """Whether there is anything to draw from, bool of the shape of `moments`."""
        there: np.ndarray = self.sums[np.searchsorted(self.moment, moments)] > 0
        return there

    def draw(self, moments: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """`count` items for each moment, int64 `[moments, count]`; item 0 where `known` says no."""
        before = np.searchsorted(self.moment, moments)[:, None]
        place = np.searchsorted(self.sums, random.random((len(moments), count)) * self.sums[before], side="right") - 1
        place = np.clip(place, 0, np.maximum(before - 1, 0))
        return self.item[place] if len(self.item) else np.zeros(place.shape, dtype=np.int64)

    def chances(self, items: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Of each of `items [moments, n]` to be drawn, f64; 0 where `known` says no."""
        when = np.broadcast_to(moments[:, None], items.shape)
        own = self.by_item.at(items, when)[..., 0]
        total = self.in_all.at(np.zeros_like(items), when)[..., 0]
        there = self.known(moments)[:, None] & (total > 0)
        return np.where(there, own / np.where(there, total, 1.0), 0.0)
