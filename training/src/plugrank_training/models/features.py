"""Categorical features: vocabularies, ids, and their embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

# Ids 0 and 1 of every vocabulary (docs/bundle-format.md).
MISSING = 0
OTHER = 1
FIRST = 2


@dataclass(frozen=True)
class Feature:
    """One categorical feature: its column, its known values and how many ids a row has."""

    name: str
    column: str
    length: int
    values: tuple[str, ...]
    index: dict[str, int] = field(repr=False, compare=False, default_factory=dict)

    @classmethod
    def of(cls, name: str, values: Iterable[str], length: int = 1) -> Feature:
        """A feature whose column has its name. Values keep their order; a value may not hold a line break."""
        kept = tuple(value for value in values if value and "\n" not in value and "\r" not in value)
        return cls(name, name, length, kept, {v: i + FIRST for i, v in enumerate(kept)})

    @property
    def size(self) -> int:
        """Rows of the embedding table: the values, "missing" and "other"."""
        return len(self.values) + FIRST

    def id_of(self, value: str | None) -> int:
        """The id of one value: 0 where absent or empty, 1 where unknown."""
        return self.index.get(value, OTHER) if value else MISSING

    def encode(self, rows: Sequence[str | Sequence[str] | None]) -> np.ndarray:
        """Ids of rows, int64: `[rows]` (of a list its first value) for length 1, else `[rows, length]`, cut or padded
        with 0."""
        if self.length == 1:
            firsts = (row if isinstance(row, str) else next(iter(row or ()), None) for row in rows)
            return np.array([self.id_of(first) for first in firsts], dtype=np.int64)
        ids = np.zeros((len(rows), self.length), dtype=np.int64)
        for number, row in enumerate(rows):
            values = [row] if isinstance(row, str) else list(row or ())
            for place, value in enumerate(values[: self.length]):
                ids[number, place] = self.id_of(value)
        return ids


def frequent(values: Iterable[str | None], at_least: int = 1) -> list[str]:
    """Distinct values that occur `at_least` times, the most frequent first, ties by value."""
    counts = Counter(value for value in values if value)
    kept = [(value, count) for value, count in counts.items() if count >= at_least]
    return [value for value, _ in sorted(kept, key=lambda pair: (-pair[1], pair[0]))]


class FeatureEmbeddings(nn.Module):
    """Embeds the features of a row and concatenates them: `[n, features * dim]`.

    A feature with several ids is the mean of those present.
    """

    def __init__(self, features: Sequence[Feature], dim: int) -> None:
        super().__init__()
        self.features = tuple(features)
        self.tables = nn.ModuleList(nn.Embedding(feature.size, dim) for feature in self.features)
        for table in self.tables:
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.05)
        self.dim = dim * len(self.features)

    def forward(self, ids: dict[str, Tensor]) -> Tensor:
        """`ids[name]`: int64 `[..., (length)]`; gives f32 `[..., dim]`."""
        parts = []
        for feature, table in zip(self.features, self.tables, strict=True):
            rows = table(ids[feature.name])
            if feature.length > 1:
                present = (ids[feature.name] != MISSING).to(rows.dtype).unsqueeze(-1)
                rows = (rows * present).sum(-2) / present.sum(-2).clamp(min=1.0)
            parts.append(rows)
        return torch.cat(parts, dim=-1)
