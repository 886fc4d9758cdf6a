"""The transformer layer over a history, written out so that it exports to plain ONNX operators."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

# What attention adds to the score of an entry that may not be read.
HIDDEN = -1e4


class HistoryLayer(nn.Module):
    """Self-attention and a feed-forward part, each after a layer norm (pre-norm); entries are newest first.

    An entry reads itself and the `reach - 1` entries before it, never a newer one: its state is what was known then,
    so one pass over a long sequence gives the state of every moment in it. Position is relative: each head learns what
    a distance is worth, from a decay of its own (ALiBi, arXiv 2108.12409, is the fixed form).
    """

    def __init__(self, dim: int, heads: int, dropout: float, reach: int, expand: int = 2) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.norm_attention = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, expand * dim), nn.GELU(), nn.Linear(expand * dim, dim))
        self.dropout = nn.Dropout(dropout)
        # Heads forget with time constants of 4, 16, 64, ... entries at first. [reach, heads]
        self.distance = nn.Parameter(-torch.arange(reach).unsqueeze(1) / 4.0 ** torch.arange(1, heads + 1))

    def bias(self, mask: Tensor) -> Tensor:
        """`mask [batch, length]`, 1 for real entries -> what attention adds, `[batch, heads, length, length]`."""
        place = torch.arange(mask.shape[1], device=mask.device)
        older = place.unsqueeze(0) - place.unsqueeze(1)
        worth = functional.embedding(older.clamp(0, self.reach - 1), self.distance).permute(2, 0, 1)
        hidden = ((older < 0) | (older >= self.reach)).to(worth.dtype) * HIDDEN
        padding = (mask.to(worth.dtype) - 1.0) * -HIDDEN
        return (worth + hidden).unsqueeze(0) + padding.unsqueeze(1).unsqueeze(1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """`states [batch, length, dim]`, newest first; `mask [batch, length]` is 1 for real entries."""
        rows = self.to_qkv(self.norm_attention(states)).unflatten(-1, (3, self.heads, -1))
        query, key, value = rows.permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: exporting torch's own with a learned mask fails on its strides (torch 2.15).
        score = torch.matmul(query, key.transpose(-2, -1)) * query.shape[-1] ** -0.5 + self.bias(mask)
        mixed = torch.matmul(score.softmax(dim=-1), value)
        states = states + self.dropout(self.out(mixed.transpose(1, 2).flatten(-2)))
        fed: Tensor = states + self.dropout(self.feed(self.norm_feed(states)))
        return fed
