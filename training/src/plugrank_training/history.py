"""What a user did strictly before a moment ("History" in docs/bundle-format.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from plugrank_training.dataset import Dataset

LAST_BUCKET = 31


def interval_bucket(milliseconds: np.ndarray) -> np.ndarray:
    """min(31, 1 + floor(log2(max(1, seconds)))), seconds rounded down; int64, shape as given."""
    seconds = np.maximum(milliseconds // 1000, 1)
    # frexp gives the exponent e with 2^(e-1) <= seconds < 2^e, exactly: a logarithm could round up to the next whole.
    exponent = np.frexp(seconds.astype(np.float64))[1]
    return np.minimum(exponent, LAST_BUCKET).astype(np.int64)


@dataclass(frozen=True)
class HistoryBatch:
    """Histories of `B` requests, newest entry first, padded on the right to the longest, `L` >= 1."""

    # Rows of the data set's items, -1 where padding. int64 [B, L]
    items: np.ndarray
    # 1 click, 0 impression without one. int64 [B, L]
    labels: np.ndarray
    # Interval between the newest entry and this one. int64 [B, L]
    age_bucket: np.ndarray
    # 1 where there is an entry. float32 [B, L]
    mask: np.ndarray
    # Interval between the request and the newest entry. int64 [B]
    recency_bucket: np.ndarray


class HistoryIndex:
    """Every user's past, for looking up any moment of it.

    `clicks` and `impressions` bound how many entries of each label a history has. Interactions with `exclude_items`
    (rows of the data set's items) are left out as if they had never happened.
    """

    def __init__(
        self,
        dataset: Dataset,
        clicks: int = 50,
        impressions: int = 50,
        exclude_items: np.ndarray | None = None,
    ) -> None:
        if clicks < 0 or impressions < 0 or clicks + impressions == 0:
            raise ValueError(f"clicks = {clicks}, impressions = {impressions}: one must be above 0, none below")
        self.bounds = {1: clicks, 0: impressions}
        self.has_intervals = dataset.meta.time == "ms"
        kept = np.arange(dataset.rows)
        if exclude_items is not None and len(exclude_items):
            hidden = np.zeros(len(dataset.item_ids), dtype=bool)
            hidden[exclude_items] = True
            kept = kept[~hidden[dataset.item]]
        # The data set is sorted by time and then by id, so a stable sort by user leaves each user's rows in that order.
        order = kept[np.argsort(dataset.user[kept], kind="stable")]
        self.item = dataset.item[order].astype(np.int64)
        self.timestamp = dataset.timestamp[order]
        self.label = dataset.label[order].astype(np.int64)
        self.user_start = np.searchsorted(dataset.user[order], np.arange(len(dataset.user_ids) + 1))
        # One sorted key for (user, timestamp), so that one binary search finds the end of many histories.
        self.times = np.sort(self.timestamp)
        self.keys = self.key(dataset.user[order], self.timestamp)
        # Places of all rows of a label, and how many of them stand before each place.
        self.rows_of = {label: np.flatnonzero(self.label == label) for label in (0, 1)}
        self.count_of = {
            label: np.concatenate([[0], np.cumsum(self.label == label, dtype=np.int64)]) for label in (0, 1)
        }

    def key(self, user: np.ndarray, timestamp: np.ndarray) -> np.ndarray:
        """Ascends with (user, timestamp); moments between two known ones share the later one's key."""
        place = np.searchsorted(self.times, timestamp, side="left")
        return np.asarray(user, dtype=np.int64) * (len(self.times) + 1) + place

    @classmethod
    def by_item(cls, dataset: Dataset, exclude_items: np.ndarray | None = None) -> HistoryIndex:
        """The same by item, for `counts`: users and items change places."""
        kept = np.ones(dataset.rows, dtype=bool)
        if exclude_items is not None and len(exclude_items):
            kept = ~np.isin(dataset.item, exclude_items)
        turned = replace(
            dataset,
            user=dataset.item[kept],
            item=dataset.user[kept],
            user_ids=dataset.item_ids,
            item_ids=dataset.user_ids,
            timestamp=dataset.timestamp[kept],
            label=dataset.label[kept],
        )
        return cls(turned, 1, 1)

    def counts(self, user: np.ndarray, before_ts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All impressions and all clicks of users strictly before moments, without bounds; int64 `[B]` each."""
        start = self.user_start[user]
        end = np.searchsorted(self.keys, self.key(user, before_ts), side="left")
        return end - start, self.count_of[1][end] - self.count_of[1][start]

    def gather(self, user: np.ndarray, before_ts: np.ndarray) -> HistoryBatch:
        """Histories of users (rows of the data set's users) strictly before moments; both int `[B]`."""
        start = self.user_start[user]
        end = np.searchsorted(self.keys, self.key(user, before_ts), side="left")
        padding = np.full((len(start), 1), -1, dtype=np.int64)
        parts = [self.newest(1, start, end), self.newest(0, start, end), padding]
        # Descending places are newest first, among equal timestamps the greater id first; -1 sinks to the end.
        places = -np.sort(-np.concatenate(parts, axis=1), axis=1)
        places = places[:, : max(1, int((places >= 0).sum(axis=1).max(initial=0)))]
        return self.batch(places, np.asarray(before_ts, dtype=np.int64))

    def newest(self, label: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Places of the last rows of a label within [start, end), newest first, -1 beyond. int64 `[B, up to bound]`"""
        count, rows = self.count_of[label], self.rows_of[label]
        first, last = count[start], count[end]
        width = int(min(self.bounds[label], (last - first).max(initial=0)))
        wanted = last[:, None] - 1 - np.arange(width)
        there = wanted >= first[:, None]
        if not len(rows):
            return np.full(wanted.shape, -1, dtype=np.int64)
        return np.where(there, rows[np.where(there, wanted, 0)], -1)

    def batch(self, places: np.ndarray, before_ts: np.ndarray) -> HistoryBatch:
        """Fill in what stands at the places `[B, L]`; -1 is padding."""
        there = places >= 0
        if not len(self.item):
            nothing = np.zeros(places.shape, dtype=np.int64)
            recency = np.zeros(len(places), dtype=np.int64)
            return HistoryBatch(nothing - 1, nothing, nothing.copy(), nothing.astype(np.float32), recency)
        known = np.maximum(places, 0)
        age = np.zeros(places.shape, dtype=np.int64)
        recency = np.zeros(len(places), dtype=np.int64)
        if self.has_intervals:
            time = self.timestamp[known]
            age = np.where(there, interval_bucket(time[:, :1] - time), 0)
            recency = np.where(there[:, 0], interval_bucket(before_ts - time[:, 0]), 0)
        return HistoryBatch(
            items=np.where(there, self.item[known], -1),
            labels=np.where(there, self.label[known], 0),
            age_bucket=age,
            mask=there.astype(np.float32),
            recency_bucket=recency,
        )
