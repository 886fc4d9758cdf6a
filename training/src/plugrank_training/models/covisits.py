"""Which items are clicked close together, as an input of a click model."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.transformer import first_rows

# Time constants, in history entries, that the running means of the history start from.
DECAYS = (2.0, 8.0, 32.0)


class Covisits(Branch):
    """Item factors of a co-visit matrix, and how near a candidate is to the running means of what was clicked.

    The factors come from `fit/covisit_factors.py` and do not train; an item without an id of its own has zeros. `from`
    and `to` of two items multiply to the logarithm of how much oftener than by chance they are clicked together.
    """

    history_outputs = ("covisit_from",)
    candidate_outputs = ("covisit_to",)
    linear = True

    def __init__(self, items: int, dim: int, length: int) -> None:
        super().__init__()
        self.register_buffer("factor_from", torch.zeros(items, dim))
        self.register_buffer("factor_to", torch.zeros(items, dim))
        self.factor_from: Tensor
        self.factor_to: Tensor
        self.log_decay = nn.Parameter(torch.tensor([math.log(decay) for decay in DECAYS]))
        self.register_buffer("places", torch.arange(length, dtype=torch.float32).unsqueeze(1), persistent=False)
        self.places: Tensor
        self.item_dim = self.user_dim = 0
        self.cross_dim = len(DECAYS)

    @torch.no_grad()
    def fill(self, ids: Tensor, factors: tuple[Tensor, Tensor]) -> None:
        """Take over the factors of items, each `[items, dim]`; `ids [items]` are theirs in the vocabulary."""
        known = ids > 1
        for table, rows in zip((self.factor_from, self.factor_to), factors, strict=True):
            table[ids[known]] = rows[known].to(table)

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The factors, see `Branch.item`."""
        ids = inputs.features["item_id"]
        start, end = functional.embedding(ids, self.factor_from), functional.embedding(ids, self.factor_to)
        return ItemParts({"covisit_from": start, "covisit_to": end}, start[:, :0], torch.zeros_like(start[:, :1]))

    def user(self, history: History) -> UserParts:
        """Running means of the clicked entries' factors, see `Branch.user`."""
        vectors = history.items["covisit_from"]
        decay = (-first_rows(self.places, vectors.shape[1]) / self.log_decay.exp()).exp()
        weight = decay.unsqueeze(0) * (history.mask * history.label.to(history.mask.dtype)).unsqueeze(-1)
        total = torch.matmul(weight.transpose(1, 2), vectors)
        mean = total / (weight.sum(1).unsqueeze(-1) + 1.0)
        return UserParts({"covisit_means": mean.flatten(1)}, mean[:, 0, :0])

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """How near the candidate is to each mean, see `Branch.cross`."""
        means = state["covisit_means"].unflatten(-1, (len(DECAYS), -1))
        return torch.matmul(candidate["covisit_to"], means.transpose(1, 2))

    def groups(self) -> list[Group]:
        """The decays, see `Branch.groups`; the factors do not train."""
        return [Group("covisits", (self,), "factors per item, means per history")]
