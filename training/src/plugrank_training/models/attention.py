"""Target attention that is cut into an item part, a user part and a cheap rest."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.models.transformer import first_rows


class TargetAttention(nn.Module):
    """Attention of each candidate over a user's history (the role of DIN's, arXiv 1706.06978, eq. 3).

    Weights are `exp(scale * cos(query, key))`, one scale a head, over the history and one learned "nothing like it"
    entry of value 0, so that little evidence gives a small answer and an empty history gives zeros. Each head also
    gives the logarithm of its summed weights: how much of the history is like the candidate. DIN's own MLP over every
    (candidate, history) pair would cost more than the rest of the graph; here queries belong to the item, keys and
    values to the user, and per row there are two small matrix products.

    Masked entries have value 0 and count 0, so padding changes nothing.
    """

    def __init__(
        self, item_dim: int, state_dim: int, heads: int, key_dim: int, value_dim: int, length: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.key_dim, self.value_dim = heads, key_dim, value_dim
        self.to_query = nn.Linear(item_dim, heads * key_dim, bias=False)
        self.to_key = nn.Linear(item_dim, heads * key_dim, bias=False)
        # Equal at the start: an item is then most like itself.
        self.to_key.weight.data.copy_(self.to_query.weight.data)
        self.to_value = nn.Linear(state_dim, heads * (value_dim - 1))
        self.log_scale = nn.Parameter(torch.linspace(math.log(2.0), math.log(6.0), heads))
        self.null = nn.Parameter(torch.full((heads,), 3.0))
        # What an entry's place, from the newest, is worth, as a logarithm; the newer the more at first.
        self.place = nn.Parameter(-torch.arange(length).unsqueeze(1) / 30.0 * torch.ones(heads)) if length else None

    @property
    def output_dim(self) -> int:
        """Numbers that `attend` gives for each candidate."""
        return self.heads * (self.value_dim + 1)

    def query(self, item: Tensor) -> Tensor:
        """`[..., item_dim]` -> `[..., heads * key_dim]`, its length the head's scale (at most e^2.3, about 10)."""
        rows = self.to_query(item).unflatten(-1, (self.heads, self.key_dim))
        scale = self.log_scale.clamp(max=2.3).exp().unsqueeze(-1)
        return (functional.normalize(rows, dim=-1, eps=1e-6) * scale).flatten(-2)

    def key(self, item: Tensor) -> Tensor:
        """`[..., item_dim]` -> `[..., heads * key_dim]`, each head of length 1."""
        rows = self.to_key(item).unflatten(-1, (self.heads, self.key_dim))
        return functional.normalize(rows, dim=-1, eps=1e-6).flatten(-2)

    def values(self, state: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
        """What each history entry tells: its residual, learned numbers, and a 1 that counts it.

        `state [users, history, state_dim]`, `residual` and `mask [users, history]` ->
        `[users, history, heads * (value_dim + 1)]`.
        """
        # Weights enter `attend` only as sums over entries, so what an entry counts can be put in here.
        weight = mask.unsqueeze(-1).expand(-1, -1, self.heads)
        if self.place is not None:
            weight = weight * first_rows(self.place, mask.shape[1]).exp()
        weight = weight.unsqueeze(-1)
        learned = self.to_value(state).unflatten(-1, (self.heads, self.value_dim - 1))
        told = residual.unsqueeze(-1).unsqueeze(-1) * weight
        return torch.cat([told, learned * weight, weight], dim=-1).flatten(-2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """`query [users, candidates, q]`, `key [users, history, q]`, `value [users, history, v]` ->
        `[users, candidates, output_dim]`."""
        queries, keys = (rows.unflatten(-1, (self.heads, self.key_dim)).unbind(-2) for rows in (query, key))
        values = value.unflatten(-1, (self.heads, self.value_dim + 1)).unbind(-2)
        # A head at a time: all at once would first be copied into another order.
        heads = zip(queries, keys, values, strict=True)
        summed = torch.stack([torch.matmul(torch.matmul(q, k.transpose(1, 2)).exp(), v) for q, k, v in heads], dim=-2)
        null = self.null.exp().view(1, 1, self.heads, 1)
        count = summed[..., self.value_dim :] + null
        mean = summed[..., : self.value_dim] / count
        return torch.cat([mean, count.log() - self.null.view(1, 1, self.heads, 1)], dim=-1).flatten(-2)
