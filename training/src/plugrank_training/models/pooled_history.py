"""History as field-wise models read it: the mean of what was clicked, and the mean of what was not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import PAST, History, named

# Entries' worth of "nothing" that each mean starts from.
SHRINK = 1.0


def pooled_history(vectors: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Both means side by side.

    `vectors [users, L, d]`, `label` int64 and `mask` f32 `[users, L]` -> `[users, 2 * d]`.
    """
    clicked = label.to(mask.dtype) * mask
    parts = [clicked, mask - clicked]
    means = [(vectors * part.unsqueeze(-1)).sum(1) / (part.sum(1, keepdim=True) + SHRINK) for part in parts]
    return torch.cat(means, dim=-1)


class PooledPast(nn.Module):
    """What was done and how much of it, pooled over the entries as their items are: two fields for each of both."""

    def __init__(self, past: Sequence[Feature], dim: int) -> None:
        super().__init__()
        self.embeddings = FeatureEmbeddings(past, dim)
        self.dim = 2 * self.embeddings.dim

    def forward(self, history: History) -> Tensor:
        """`[users, dim]`."""
        told = self.embeddings(named(history.user_features, PAST))
        return pooled_history(told, history.label, history.mask)
