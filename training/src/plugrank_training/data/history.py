"""What a user did strictly before a moment ("History" in docs/bundle-format.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.interaction_file import PIECE
from plugrank_training.data.mapped import Arrays, mapped_arrays

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
    # Rows of the log that the entries are, -1 where padding, int64 [B, L]; None where it has neither action nor value.
    rows: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> HistoryBatch:
        """Some of the requests, by place."""
        return HistoryBatch(
            self.items[rows], self.labels[rows], self.age_bucket[rows], self.mask[rows], self.recency_bucket[rows],
            None if self.rows is None else self.rows[rows],
        )  # fmt: skip


class HistoryIndex:
    """Every user's past, for looking up any moment of it.

    `clicks` and `impressions` bound how many entries of each label a history has. Interactions with `exclude_items`
    (rows of the data set's items) are left out as if they had never happened. `arrays`: a folder, named after the data
    set and what is left out, that keeps the index (29 bytes a row, 8 more
    with actions or values) in mapped files; without one it lies in memory.
    """

    def __init__(
        self,
        dataset: Dataset,
        clicks: int = 50,
        impressions: int = 50,
        exclude_items: np.ndarray | None = None,
        arrays: Path | None = None,
    ) -> None:
        if clicks < 0 or impressions < 0 or clicks + impressions == 0:
            raise ValueError(f"clicks = {clicks}, impressions = {impressions}: one must be above 0, none below")
        self.bounds = {1: clicks, 0: impressions}
        self.has_intervals = dataset.meta.time == "ms"
        hidden = np.zeros(len(dataset.item_ids), dtype=bool)
        if exclude_items is not None:
            hidden[exclude_items] = True
        log = UserLog(dataset, hidden)
        self.user_start = log.user_start
        if arrays is not None and log.has_past:
            arrays = arrays.with_name(f"{arrays.name}-rows")
        made = mapped_arrays(arrays, log.shapes(), log.fill)
        self.item, self.timestamp, self.label = made["item"], made["timestamp"], made["label"]
        self.clicks_before = made["clicks_before"]
        # Row of the log of each place, where something is read of it.
        self.row = made.get("row")
        # Places of all rows of a label.
        self.rows_of = {1: made["clicks"], 0: made["others"]}

    def end(self, user: np.ndarray, before_ts: np.ndarray) -> np.ndarray:
        """Place after the last row of users strictly before moments, by bisection; int64 `[B]`."""
        low, high = self.user_start[user], self.user_start[np.asarray(user) + 1]
        while True:
            active = low < high
            if not active.any():
                return low
            middle = (low + high) // 2
            earlier = self.timestamp[np.where(active, middle, 0)] < before_ts
            low = np.where(active & earlier, middle + 1, low)
            high = np.where(active & ~earlier, middle, high)

    def before(self, label: int, places: np.ndarray) -> np.ndarray:
        """How many rows of a label stand before places of the index, int64 `[B]`."""
        clicks = self.clicks_before[places]
        return clicks if label else places - clicks

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
            past_columns={},
        )
        return cls(turned, 1, 1)

    def counts(self, user: np.ndarray, before_ts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All impressions and all clicks of users strictly before moments, without bounds; int64 `[B]` each."""
        start, end = self.user_start[user], self.end(user, before_ts)
        return end - start, self.before(1, end) - self.before(1, start)

    def gather(self, user: np.ndarray, before_ts: np.ndarray) -> HistoryBatch:
        """Histories of users (rows of the data set's users) strictly before moments; both int `[B]`."""
        start, end = self.user_start[user], self.end(user, before_ts)
        padding = np.full((len(start), 1), -1, dtype=np.int64)
        parts = [self.newest(1, start, end), self.newest(0, start, end), padding]
        # Descending places are newest first, among equal timestamps the greater id first; -1 sinks to the end.
        places = -np.sort(-np.concatenate(parts, axis=1), axis=1)
        places = places[:, : max(1, int((places >= 0).sum(axis=1).max(initial=0)))]
        return self.batch(places, np.asarray(before_ts, dtype=np.int64))

    def newest(self, label: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Places of the last rows of a label within [start, end), newest first, -1 beyond. int64 `[B, up to bound]`"""
        rows = self.rows_of[label]
        first, last = self.before(label, start), self.before(label, end)
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
            rows = None if self.row is None else nothing - 1
            return HistoryBatch(nothing - 1, nothing, nothing.copy(), nothing.astype(np.float32), recency, rows)
        known = np.maximum(places, 0)
        age = np.zeros(places.shape, dtype=np.int64)
        recency = np.zeros(len(places), dtype=np.int64)
        if self.has_intervals:
            time = self.timestamp[known]
            age = np.where(there, interval_bucket(time[:, :1] - time), 0)
            recency = np.where(there[:, 0], interval_bucket(before_ts - time[:, 0]), 0)
        return HistoryBatch(
            items=np.where(there, self.item[known].astype(np.int64), -1),
            labels=np.where(there, self.label[known].astype(np.int64), 0),
            age_bucket=age,
            mask=there.astype(np.float32),
            recency_bucket=recency,
            rows=None if self.row is None else np.where(there, self.row[known], -1),
        )


class UserLog:
    """Puts a log's rows in order of user, each user's as they stand: a counting sort, a piece of the log at a time."""

    def __init__(self, dataset: Dataset, hidden: np.ndarray) -> None:
        self.dataset, self.hidden = dataset, hidden
        self.has_past = bool(dataset.past_columns)
        users = len(dataset.user_ids)
        rows, self.clicks = np.zeros(users, dtype=np.int64), 0
        for user, _, _, label, _ in self.pieces():
            rows += np.bincount(user, minlength=users)
            self.clicks += int(label.sum())
        # Each user's first place, and the end of the last one's; int64 [users + 1].
        self.user_start = np.concatenate([[0], np.cumsum(rows)])

    def pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """User, item, timestamp, label and row of the rows that are not hidden."""
        data = self.dataset
        for first in range(0, data.rows, PIECE):
            rows = first + np.flatnonzero(~self.hidden[data.item[first : first + PIECE]])
            yield data.user[rows], data.item[rows], data.timestamp[rows], data.label[rows], rows

    def shapes(self) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Arrays that `fill` writes."""
        rows = int(self.user_start[-1])
        return {
            "item": ((rows,), np.int32),
            "timestamp": ((rows,), np.int64),
            "label": ((rows,), np.int8),
            # How many clicks stand before each place.
            "clicks_before": ((rows + 1,), np.int64),
            "clicks": ((self.clicks,), np.int64),
            "others": ((rows - self.clicks,), np.int64),
            **({"row": ((rows,), np.int64)} if self.has_past else {}),
        }

    def fill(self, arrays: Arrays) -> None:
        """Write the rows, then what counts and finds them by label."""
        free = self.user_start[:-1].copy()
        for user, item, timestamp, label, row in self.pieces():
            order = np.argsort(user, kind="stable")
            sorted_user = user[order]
            places = free[sorted_user] + np.arange(len(order)) - np.searchsorted(sorted_user, sorted_user)
            arrays["item"][places] = item[order]
            arrays["timestamp"][places] = timestamp[order]
            arrays["label"][places] = label[order]
            if self.has_past:
                arrays["row"][places] = row[order]
            free += np.bincount(user, minlength=len(free))
        clicks, others = 0, 0
        for first in range(0, len(arrays["label"]), PIECE):
            label = arrays["label"][first : first + PIECE]
            arrays["clicks_before"][first + 1 : first + 1 + len(label)] = clicks + np.cumsum(label, dtype=np.int64)
            clicked, rest = first + np.flatnonzero(label == 1), first + np.flatnonzero(label == 0)
            arrays["clicks"][clicks : clicks + len(clicked)] = clicked
            arrays["others"][others : others + len(rest)] = rest
            clicks, others = clicks + len(clicked), others + len(rest)
