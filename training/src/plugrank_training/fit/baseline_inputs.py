"""What a baseline reads, and how it goes over histories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryBatch, HistoryIndex
from plugrank_training.data.splits import Split

CHUNK = 4096
# Logits of the validation part and of the test part, f64.
Logits = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class BaselineInputs:
    """What a baseline reads."""

    dataset: Dataset
    split: Split
    history: HistoryIndex
    catalog: Catalog


def histories(index: HistoryIndex, part: Examples) -> Iterator[tuple[np.ndarray, HistoryBatch]]:
    """Rows of a part, some at a time, with their histories."""
    for start in range(0, len(part), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(part)))
        yield rows, index.gather(part.user[rows], part.timestamp[rows])


def recency_weights(past: HistoryBatch, label: int, decay: float) -> np.ndarray:
    """exp(-place / decay) for entries of a label, the newest of them at place 0; 0 for others. f64 `[B, L]`"""
    chosen = past.mask * (past.labels == label)
    weights: np.ndarray = chosen * np.exp(-(np.cumsum(chosen, axis=1) - 1.0) / decay)
    return weights
