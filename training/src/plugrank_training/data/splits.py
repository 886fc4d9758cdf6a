"""Training, validation and test parts of a data set.

| split | what it asks | parts |
| --- | --- | --- |
| `global` | tomorrow's traffic, mostly new users | all rows by time; cut at the timestamps of the rows at 80% and 90% |
| `time` | the same, by the clock | cut at 80% and 90% of the span from the first to the last timestamp |
| `peruser` | comparing models only | each user's first 70%, next 10%, rest |
| `warm` | known users and items, matched negatives | each user's first 80%, next 10%, rest |
| `items` | items never seen | six folds of items, see `items_split` |

Rows of one timestamp never stand on both sides of a cut (of one user's timestamp, where the cut is a user's own).

Where a data set has only clicks (`negatives` is `matched`), the first five of each user are history only, and every
part gets one matched negative for each of its clicks (see `negatives.py`). Their generator is numpy's PCG64, seeded by
`SeedSequence([seed, part])`, part 0, 1, 2 for train, valid, test.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.negatives import Seen, match_negatives

__all__ = ["FOLDS", "SPLITS", "Examples", "Split", "default_split", "item_folds", "make_split"]

SPLITS = ("global", "items", "peruser", "warm", "time")
FOLDS = 6
# Clicks at the start of a user's sequence that are history only, where negatives are matched.
LEAD_IN = 5


@dataclass(frozen=True)
class Split:
    """Three parts, each sorted by (timestamp, user id, item id), and what no history may hold."""

    name: str
    salt: str
    # Only where `name` is `items`.
    fold: int | None
    # Of the matched negatives.
    seed: int
    train: Examples
    valid: Examples
    test: Examples
    # Rows of the data set's items that are absent from training and from every history, int64; None where none are.
    exclude_items: np.ndarray | None = None
    # What no part holds, counted by reason.
    left_out: dict[str, int] = field(default_factory=dict)


def default_split(dataset: Dataset) -> str:
    """`global` where impressions without a click were logged, else `warm`."""
    return "warm" if dataset.meta.negatives == "matched" else "global"


def make_split(dataset: Dataset, name: str, salt: str = "plugrank", fold: int | None = None, seed: int = 0) -> Split:
    """Cut a data set; equal arguments give equal parts. Raises `ValueError` where the split does not suit the data."""
    check_arguments(dataset, name, fold)
    if name in ("global", "time") and dataset.meta.negatives == "logged":
        # The log is sorted by time: each part is a piece of it, and is not copied.
        first, second = np.searchsorted(dataset.timestamp, moments(dataset, name))
        pieces = (slice(first), slice(first, second), slice(second, None))
        train_part, valid_part, test_part = (Examples.of(dataset, rows) for rows in pieces)
        return Split(name, salt, fold, seed, train_part, valid_part, test_part)
    exclude: np.ndarray | None = None
    if name == "items":
        folds = item_folds(dataset.item_ids, salt)
        train, valid, test, exclude = items_split(dataset, folds, fold or 0)
    elif name in ("global", "time"):
        train, valid, test = by_moments(dataset.timestamp, *moments(dataset, name))
    else:
        shares = (0.7, 0.8) if name == "peruser" else (0.8, 0.9)
        train, valid, test = by_own_moments(dataset, shares)
    left_out: dict[str, int] = {}
    if dataset.meta.negatives == "logged":
        parts = [Examples.of(dataset, np.flatnonzero(part)) for part in (train, valid, test)]
    else:
        wanted, seen = position(dataset) >= LEAD_IN, Seen(dataset)
        clicks = np.bincount(dataset.user, minlength=len(dataset.user_ids))
        short = (clicks > 0) & (clicks <= LEAD_IN)
        left_out = {
            f"users with fewer than {LEAD_IN + 1} clicks, whose clicks are history only": int(short.sum()),
            "clicks of these users": int(clicks[short].sum()),
            "first clicks of other users, which are history only": int((~wanted).sum() - clicks[short].sum()),
        }
        parts = [
            match_negatives(dataset, np.flatnonzero(part & wanted), seen, np.random.default_rng([seed, number]))
            for number, part in enumerate((train, valid, test))
        ]
    return Split(name, salt, fold, seed, parts[0], parts[1], parts[2], exclude, left_out)


def check_arguments(dataset: Dataset, name: str, fold: int | None) -> None:
    """Raise where a split does not exist or does not suit the data set."""
    if name not in SPLITS:
        raise ValueError(f"split `{name}` does not exist; there are: {', '.join(SPLITS)}")
    if name == "items" and (fold is None or not 0 <= fold < FOLDS):
        raise ValueError(f"split `items` needs a fold from 0 to {FOLDS - 1}, not {fold}")
    if name != "items" and fold is not None:
        raise ValueError(f"fold {fold}: only the split `items` has folds; leave it out for `{name}`")
    if name in ("global", "time") and dataset.meta.time == "order":
        raise ValueError(f"split `{name}` needs real times, but `{dataset.meta.name}` has only an order within a user")
    if name == "warm" and dataset.meta.negatives == "logged":
        raise ValueError(f"split `warm` is for matched negatives, but `{dataset.meta.name}` logged its own: `peruser`")
    if not dataset.rows:
        raise ValueError(f"`{dataset.meta.name}` has no interactions to split")


Masks = tuple[np.ndarray, np.ndarray, np.ndarray]


def moments(dataset: Dataset, name: str) -> tuple[int, int]:
    """T1 and T2: train < T1 <= valid < T2 <= test."""
    times, rows = dataset.timestamp, dataset.rows
    if name == "global":
        return int(times[rows * 8 // 10]), int(times[rows * 9 // 10])
    first, span = int(times[0]), int(times[-1]) - int(times[0])
    return first + span * 8 // 10, first + span * 9 // 10


def by_moments(timestamp: np.ndarray, first: int | np.ndarray, second: int | np.ndarray) -> Masks:
    """Masks of train, valid and test."""
    return timestamp < first, (timestamp >= first) & (timestamp < second), timestamp >= second


def by_own_moments(dataset: Dataset, shares: tuple[float, float]) -> Masks:
    """Cut each user's sequence at two shares of its length, rounded down; a cut among equal times moves before them."""
    order = np.argsort(dataset.user, kind="stable")
    start = np.searchsorted(dataset.user[order], np.arange(len(dataset.user_ids)))
    length = np.bincount(dataset.user, minlength=len(dataset.user_ids))
    sorted_times = dataset.timestamp[order]

    def moment(share: float) -> np.ndarray:
        # In whole hundredths: 0.7 * 10 is below 7 in binary.
        cut = np.minimum(start + length * round(share * 100) // 100, dataset.rows - 1)
        return sorted_times[cut][dataset.user]

    return by_moments(dataset.timestamp, moment(shares[0]), moment(shares[1]))


def position(dataset: Dataset) -> np.ndarray:
    """How many rows a user has before each row, int64 `[n]`."""
    order = np.argsort(dataset.user, kind="stable")
    sorted_user = dataset.user[order]
    place = np.empty(dataset.rows, dtype=np.int64)
    place[order] = np.arange(dataset.rows) - np.searchsorted(sorted_user, sorted_user)
    return place


def item_folds(item_ids: list[str], salt: str, folds: int = FOLDS) -> np.ndarray:
    """Fold of each item: its rank by the hex SHA-256 of `SALT:item_id`, modulo the number of folds. int64 `[items]`"""
    digests = [hashlib.sha256(f"{salt}:{identity}".encode()).hexdigest() for identity in item_ids]
    order = np.array(sorted(range(len(item_ids)), key=digests.__getitem__), dtype=np.int64)
    fold = np.empty(len(item_ids), dtype=np.int64)
    fold[order] = np.arange(len(item_ids)) % folds
    return fold


def items_split(
    dataset: Dataset, folds: np.ndarray, fold: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Masks of train, valid and test, and the rows of the hidden items.

    Test is the impressions of a fold's items, valid those of the next fold's (modulo six), both within the newest
    part of the data; train is what came before that part, of the other four folds. The items of both folds are absent
    from every history, so valid asks just what test asks. The newest part is what is at or after T1 of `global`, or,
    without real times, each user's last 20%.
    """
    next_fold = (fold + 1) % FOLDS
    if dataset.meta.time == "ms":
        old, middle, new = by_moments(dataset.timestamp, *moments(dataset, "global"))
    else:
        old, middle, new = by_own_moments(dataset, (0.8, 0.9))
    late, of_row = middle | new, folds[dataset.item]
    hidden = (folds == fold) | (folds == next_fold)
    return (
        old & ~hidden[dataset.item],
        late & (of_row == next_fold),
        late & (of_row == fold),
        np.flatnonzero(hidden),
    )
