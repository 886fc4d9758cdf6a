"""What every source comes down to before it is written as a dataset folder: items, users and what was recorded."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from plugrank_training.data.ids import shortlex_key


@dataclass(frozen=True)
class Events:
    """Interactions, in any order; users and items are rows of the source's lists."""

    # int32 [n], int32 [n], int64 [n] (ms or position), int8 [n]
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray


class EventLog:
    """Interactions as they are read, 17 bytes each; users get numbers in the order in which they are met."""

    def __init__(self) -> None:
        self.users: dict[str, int] = {}
        self.columns = (array("i"), array("i"), array("q"), array("b"))

    def user(self, identity: str) -> int:
        """Number of a user."""
        return self.users.setdefault(identity, len(self.users))

    def add(self, user: int, item: int, timestamp: int, label: int) -> None:
        """One interaction; `item` is any number of it."""
        for column, value in zip(self.columns, (user, item, timestamp, label), strict=True):
            column.append(value)

    def in_order(self, item_rows: Sequence[int] | None = None) -> tuple[list[str], Events]:
        """Users in the order of their ids, and all interactions; `item_rows`: row of each item number, where they
        differ."""
        user_ids = sorted(self.users, key=shortlex_key)
        rows = np.empty(len(user_ids), dtype=np.int32)
        rows[[self.users[identity] for identity in user_ids]] = np.arange(len(user_ids))
        user, item, timestamp, label = (np.array(column) for column in self.columns)
        item = item if item_rows is None else np.asarray(item_rows)[item]
        return user_ids, Events(rows[user], item.astype(np.int32), timestamp.astype(np.int64), label.astype(np.int8))


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
