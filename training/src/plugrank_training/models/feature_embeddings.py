"""Features of a row as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from plugrank_training.models.features import MISSING, Feature

# Corners of a number's embedding: quantiles of its training values, so many pieces between them.
PIECES = 16
# Where a piece begins that a feature does not have: no number is above it.
NOWHERE = 1e30


class NumberEmbedding(nn.Module):
    """One number as a learned, piecewise linear curve in `dim` dimensions.

    Pieces end at quantiles of the training values; what a value has run through of each piece, 0 to 1, is projected
    (piecewise linear encoding, arXiv 2203.05556, eq. 1). Buckets are the same with steps for slopes, and lose where in
    its bucket a number lies. Beyond the ends it stays as at the ends: what was never seen is not extrapolated.
    """

    def __init__(self, feature: Feature, dim: int) -> None:
        super().__init__()
        ends = np.unique(np.array(feature.corners or (-1.0, 1.0), dtype=np.float32))
        if len(ends) < 2:
            ends = np.append(ends, ends[-1] + 1.0)
        if len(ends) > PIECES + 1:
            raise ValueError(f"feature `{feature.name}` has {len(ends)} corners; {PIECES + 1} are read")
        start, width = np.full(PIECES, NOWHERE, np.float32), np.ones(PIECES, np.float32)
        start[: len(ends) - 1], width[: len(ends) - 1] = ends[:-1], np.diff(ends)
        self.register_buffer("start", torch.from_numpy(start))
        self.register_buffer("width", torch.from_numpy(width))
        self.start: Tensor
        self.width: Tensor
        self.project = nn.Linear(PIECES, dim)
        nn.init.normal_(self.project.weight, std=0.05)
        nn.init.zeros_(self.project.bias)

    def forward(self, numbers: Tensor) -> Tensor:
        """f32 `[...]` -> `[..., dim]`."""
        run = ((numbers.unsqueeze(-1) - self.start) / self.width).clamp(0.0, 1.0)
        rows: Tensor = self.project(run)
        return rows


class FeatureEmbeddings(nn.Module):
    """Embeds the features of a row and concatenates them: `[n, features * dim]`.

    A feature with several values is the mean of those present; of numbers, whose padding is a number, of all.
    """

    def __init__(self, features: Sequence[Feature], dim: int) -> None:
        super().__init__()
        self.features = tuple(features)
        # By their places among the features, ids and numbers apart: tables have their own learning rate and decay.
        self.tables = nn.ModuleList(nn.Embedding(one.size, dim) for one in self.features if not one.is_number)
        for table in self.tables:
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.05)
        self.numbers = nn.ModuleList(NumberEmbedding(one, dim) for one in self.features if one.is_number)
        self.dim = dim * len(self.features)

    def forward(self, ids: dict[str, Tensor]) -> Tensor:
        """`ids[name]`: int64, or f32 of numbers, `[..., (length)]`; gives f32 `[..., dim]`."""
        parts = []
        tables, numbers = iter(self.tables), iter(self.numbers)
        for feature in self.features:
            given = ids[feature.name]
            rows = next(numbers)(given) if feature.is_number else next(tables)(given)
            if feature.length > 1 and feature.is_number:
                rows = rows.mean(-2)
            elif feature.length > 1:
                present = (given != MISSING).to(rows.dtype).unsqueeze(-1)
                rows = (rows * present).sum(-2) / present.sum(-2).clamp(min=1.0)
            parts.append(rows)
        return torch.cat(parts, dim=-1)
