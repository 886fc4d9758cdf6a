"""Rows that a model is trained on or scored for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from plugrank_training.data.dataset import Dataset


@dataclass(frozen=True)
class Examples:
    """Impressions of one part of a split; users and items are rows of the data set's."""

    # int32 [n], int32 [n], int64 [n] (as the data set's: ms or position), int8 [n]
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray
    # Labels of further tasks by name, int8 [n]; -1 where one is not known.
    further: Mapping[str, np.ndarray] = field(default_factory=dict)
    # Which row of the log each is, int64 [n]; of a drawn negative `~row` of the click whose request it shares. None
    # where the log tells nothing further of requests, or has them not.
    row: np.ndarray | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.label)

    @property
    def request_row(self) -> np.ndarray | None:
        """Which row of the log each one's request is of, int64 [n]."""
        return None if self.row is None else np.where(self.row < 0, ~self.row, self.row)

    @classmethod
    def of(cls, dataset: Dataset, rows: np.ndarray | slice) -> Examples:
        """Interactions of a data set, by row; a slice copies nothing of it."""
        whole = cls(dataset.user, dataset.item, dataset.timestamp, dataset.label, dataset.task_labels)
        taken = whole.take(rows)
        if not dataset.log_columns and not dataset.past_columns:
            return taken
        return replace(taken, row=np.arange(dataset.rows)[rows] if isinstance(rows, slice) else np.asarray(rows))

    def take(self, rows: np.ndarray | slice) -> Examples:
        """Some of the rows, by place, by a mask, or a slice, which copies nothing."""
        return Examples(
            self.user[rows],
            self.item[rows],
            self.timestamp[rows],
            self.label[rows],
            {task: labels[rows] for task, labels in self.further.items()},
            None if self.row is None else self.row[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Several one after another."""

        def whole(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])

        rows = None if any(part.row is None for part in parts) else whole("row")
        further = {task: np.concatenate([part.further[task] for part in parts]) for task in parts[0].further}
        return cls(whole("user"), whole("item"), whole("timestamp"), whole("label"), further, rows)
