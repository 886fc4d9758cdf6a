"""The text encoder: a small BERT-type transformer (arXiv 1810.04805) with a pooled, projected output."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import TextConfig
from plugrank_training.models.transformer import TransformerLayer, first_rows, padding_bias


class TextEncoder(nn.Module):
    """Token ids to one vector of length sqrt(dim) (so that its numbers are near 1)."""

    def __init__(self, vocabulary: int, config: TextConfig) -> None:
        super().__init__()
        dim = config.dim
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(config.max_tokens, dim)
        nn.init.normal_(self.tokens.weight, std=0.1)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.layers = nn.ModuleList(TransformerLayer(dim, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(config.dropout)
        self.dim = dim

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """`token_ids`, `mask` int64 `[batch, tokens]` -> `[batch, dim]`. Padding (mask 0) changes nothing."""
        positions = first_rows(self.positions.weight, token_ids.shape[1])
        states = self.dropout(self.tokens(token_ids) + positions)
        weight = mask.to(states.dtype)
        bias = padding_bias(weight)
        for layer in self.layers:
            states = layer(states, bias)
        states = self.norm(states) * weight.unsqueeze(-1)
        pooled = states.sum(1) / weight.sum(1, keepdim=True).clamp(min=1.0)
        return functional.normalize(self.out(pooled), dim=-1, eps=1e-6) * self.dim**0.5
