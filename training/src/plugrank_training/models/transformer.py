"""A pre-norm transformer layer, written out so that it exports to plain ONNX operators."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class TransformerLayer(nn.Module):
    """Bidirectional self-attention and a feed-forward part, each after a layer norm (pre-norm)."""

    def __init__(self, dim: int, heads: int, dropout: float, expand: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, expand * dim), nn.GELU(), nn.Linear(expand * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """`states [batch, length, dim]`; `bias [batch, 1, 1, length]` is 0 for real entries, very low for padding."""
        rows = self.to_qkv(self.norm_attention(states)).unflatten(-1, (3, self.heads, -1))
        query, key, value = rows.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        states = states + self.dropout(self.out(mixed.transpose(1, 2).flatten(-2)))
        fed: Tensor = states + self.dropout(self.feed(self.norm_feed(states)))
        return fed


def first_rows(table: Tensor, count: int) -> Tensor:
    """The first `count` rows of a table of positions; its last one again where there are not so many.

    No real entry stands beyond the table, but a batch may be padded to any length.
    """
    places = torch.arange(count, device=table.device).clamp(max=table.shape[0] - 1)
    return functional.embedding(places, table)


def padding_bias(mask: Tensor) -> Tensor:
    """`mask [batch, length]`, 1 for real entries -> what attention adds to its scores, `[batch, 1, 1, length]`."""
    return ((mask.to(torch.float32) - 1.0) * 1e4).unsqueeze(1).unsqueeze(1)
