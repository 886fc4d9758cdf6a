"""Rows that a model is trained on or scored for."""

from __future__ import annotations

from dataclasses import dataclass

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

    def __len__(self) -> int:
        """Rows."""
        return len(self.label)

    @classmethod
    def of(cls, dataset: Dataset, rows: np.ndarray | slice) -> Examples:
        """Interactions of a data set, by row; a slice copies nothing."""
        return cls(dataset.user[rows], dataset.item[rows], dataset.timestamp[rows], dataset.label[rows])

    def take(self, rows: np.ndarray | slice) -> Examples:
        """Some of the rows, by place, by a mask, or a slice, which copies nothing."""
        return Examples(self.user[rows], self.item[rows], self.timestamp[rows], self.label[rows])
