"""What every source comes down to before it is written as a dataset folder: items, users and what was recorded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Events:
    """Interactions, in any order; users and items are rows of the source's lists."""

    # int32 [n], int32 [n], int64 [n] (ms or position), int8 [n]
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Items:
    """Items by column, in the order of their ids, shorter first, then by bytes; all columns are of one length."""

    ids: list[str]
    titles: list[str]
    # The empty string where an item has none.
    texts: list[str]
    # Main category first.
    categories: list[list[str]]
    # Milliseconds since the Unix epoch; None where unknown.
    created_ms: list[int | None]
    # Categorical features by name; the empty string where unknown.
    columns: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """One source, read in whole. Users stand in the order of their ids too."""

    name: str
    items: Items
    user_ids: list[str]
    # Categorical columns of users, one value a user; the empty string where unknown.
    user_columns: dict[str, list[str]]
    events: Events
    time: str = "ms"
    negatives: str = "logged"
    # What a person should know of this source, a sentence each.
    notes: tuple[str, ...] = ()
