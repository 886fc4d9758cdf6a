"""Histories against a slow reference that follows docs/bundle-format.md word by word."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex, interval_bucket
from plugrank_training.data.ids import shortlex_key
from shops import random_dataset

Entry = tuple[int, int, int]


def bucket(milliseconds: int) -> int:
    """The formula, in whole numbers: floor(log2(x)) is the number of binary digits less one."""
    seconds = max(1, milliseconds // 1000)
    return min(31, seconds.bit_length())


def reference(dataset: Dataset, user: int, before: int, clicks: int, impressions: int, hidden: set[int]) -> list[Entry]:
    """(item, label, timestamp), newest first."""
    past = [
        (int(time), dataset.item_ids[item], int(item), int(label))
        for u, item, time, label in zip(dataset.user, dataset.item, dataset.timestamp, dataset.label, strict=True)
        if u == user and time < before and item not in hidden
    ]
    # Rows of equal time and item keep the order of the log, later ones first.
    past = sorted(past, key=lambda row: (row[0], shortlex_key(row[1])))[::-1]
    kept, left = [], {1: clicks, 0: impressions}
    for time, _, item, label in past:
        if left[label]:
            left[label] -= 1
            kept.append((item, label, time))
    return kept


@pytest.mark.parametrize("time", ["ms", "order"])
@pytest.mark.parametrize(("clicks", "impressions"), [(50, 50), (3, 2), (4, 0), (0, 5)])
@pytest.mark.parametrize("hide", [False, True])
def test_equals_the_reference(time: str, clicks: int, impressions: int, hide: bool) -> None:
    dataset = random_dataset(7, time=time)
    hidden = np.array([1, 5, 6, 20]) if hide else None
    index = HistoryIndex(dataset, clicks, impressions, hidden)
    random = np.random.default_rng(1)
    user = random.integers(0, len(dataset.user_ids), 300)
    # Times of interactions, times between, before all and after all.
    moments = [*random.choice(dataset.timestamp, 280), 0, -5, 10**9, 350, 1, *([701] * 15)]
    before = np.array(moments, dtype=np.int64)
    found = index.gather(user, before)
    longest = 0
    for row in range(300):
        wanted = reference(
            dataset, user[row], int(before[row]), clicks, impressions, set(() if hidden is None else hidden)
        )
        longest = max(longest, len(wanted))
        count = len(wanted)
        assert found.items[row, :count].tolist() == [item for item, _, _ in wanted]
        assert found.labels[row, :count].tolist() == [label for _, label, _ in wanted]
        assert found.mask[row].tolist() == [1.0] * count + [0.0] * (found.mask.shape[1] - count)
        assert (found.items[row, count:] == -1).all()
        assert (found.labels[row, count:] == 0).all()
        if time == "ms" and wanted:
            newest = wanted[0][2]
            assert found.age_bucket[row, :count].tolist() == [bucket(newest - at) for _, _, at in wanted]
            assert found.recency_bucket[row] == bucket(int(before[row]) - newest)
        else:
            assert not found.age_bucket[row].any()
            assert found.recency_bucket[row] == 0
        assert not found.age_bucket[row, count:].any()
    assert found.items.shape[1] == max(1, longest)


def test_shapes_and_types() -> None:
    dataset = random_dataset(3)
    found = HistoryIndex(dataset).gather(np.array([0, 1, 2], dtype=np.int32), np.array([0, 0, 0], dtype=np.int64))
    assert found.items.shape == found.labels.shape == found.age_bucket.shape == found.mask.shape == (3, 1)
    assert found.items.tolist() == [[-1], [-1], [-1]]
    assert [a.dtype for a in (found.items, found.labels, found.age_bucket, found.recency_bucket)] == [np.int64] * 4
    assert found.mask.dtype == np.float32
    empty = HistoryIndex(dataset).gather(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    assert empty.items.shape == (0, 1)


def test_everything_hidden_leaves_empty_histories() -> None:
    dataset = random_dataset(3)
    found = HistoryIndex(dataset, exclude_items=np.arange(30)).gather(np.array([0, 4]), np.array([10**9, 5]))
    assert found.items.tolist() == [[-1], [-1]]
    assert found.mask.sum() == 0
    assert found.recency_bucket.tolist() == [0, 0]


def test_buckets_at_every_power_of_two() -> None:
    seconds = np.array([value for n in range(62 - 10) for value in (2**n - 1, 2**n, 2**n + 1)], dtype=np.int64)
    wanted = [min(31, 1 + math.floor(math.log2(max(1, s)))) if s < 2**40 else 31 for s in seconds.tolist()]
    assert interval_bucket(seconds * 1000).tolist() == wanted
    assert interval_bucket(np.array([1999, 2000, 3999, 4000])).tolist() == [1, 2, 2, 3]


def test_invalid_history_limits_are_refused() -> None:
    dataset = random_dataset(3)
    for clicks, impressions in ((0, 0), (-1, 5), (5, -1)):
        with pytest.raises(ValueError, match="one must be above 0, none below"):
            HistoryIndex(dataset, clicks, impressions)
