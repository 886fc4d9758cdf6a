"""History as field-wise models read it: the mean of what was clicked, and the mean of what was not."""

from __future__ import annotations

import torch
from torch import Tensor

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
