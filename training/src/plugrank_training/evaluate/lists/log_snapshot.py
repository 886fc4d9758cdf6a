"""A log as it stood at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LogSnapshot:
    """What a loader has read at a moment: items, and the interactions before it, in order of time."""

    # int64 [items] ms, or the least int64 where unknown; whether an item has a time at all is `dated`.
    created_at: np.ndarray
    dated: np.ndarray
    # Names of each item's categories.
    categories: Sequence[Sequence[str]]
    # Place in the order of ids, which breaks ties. int64 [items]
    rank: np.ndarray
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray
    # Whether timestamps are times, not an order within each user.
    timed: bool = True
