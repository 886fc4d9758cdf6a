"""Logistic regression as a host: one weight for each feature value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plugrank_training.config import HostConfig
from plugrank_training.models.branch import Branch
from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import PAST, History, ItemInputs, ItemParts, Named, UserParts, named
from plugrank_training.models.pooled_history import pooled_history


class FirstOrder(nn.Module):
    """The sum of one learned weight a feature value (a multi-valued feature: the mean of its values', a number: a
    learned curve), from 0."""

    def __init__(self, features: Sequence[Feature]) -> None:
        super().__init__()
        self.embeddings = FeatureEmbeddings(features, 1)
        for weights in self.embeddings.parameters():
            nn.init.zeros_(weights)

    def forward(self, ids: Named) -> Tensor:
        """`[n, 1]`."""
        summed: Tensor = self.embeddings(ids).sum(-1, keepdim=True)
        return summed


class Lr(Branch):
    """Weights of the candidate's, the user's and, averaged over the history, the clicked and refused items' values and
    what was told of those entries.

    What a user did moves all their candidates alike: a linear model cannot tell which of them it speaks for.
    """

    history_outputs = ("lr_history",)
    candidate_outputs = ()
    linear = True

    def __init__(
        self, item: Sequence[Feature], user: Sequence[Feature], _: HostConfig, past: Sequence[Feature] = ()
    ) -> None:
        super().__init__()
        self.item_weights, self.user_weights = FirstOrder(item), FirstOrder(user)
        self.past = nn.ModuleList(FirstOrder(item) for _ in range(2))
        # Action and value of the clicked and of the refused entries, where the data has them.
        self.told = nn.ModuleList(FirstOrder(past) for _ in range(2)) if past else None
        self.item_dim, self.user_dim, self.cross_dim = 1, 1, 0

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The candidate's weights, and those it has as a part of a history, see `Branch.item`."""
        weight = self.item_weights(inputs.features)
        past = torch.cat([weights(inputs.features) for weights in self.past], dim=-1)
        return ItemParts({"lr_history": past}, weight, weight)

    def user(self, history: History) -> UserParts:
        """One number for all candidates, see `Branch.user`."""
        pooled = pooled_history(history.items["lr_history"], history.label, history.mask)
        # Clicked items by the first weight, refused ones by the second.
        bias = self.user_weights(history.user_features) + pooled[:, 0:1] + pooled[:, 3:4]
        if self.told is not None:
            values = named(history.user_features, PAST)
            told = torch.cat([weights(values) for weights in self.told], dim=-1)
            pooled = pooled_history(told, history.label, history.mask)
            bias = bias + pooled[:, 0:1] + pooled[:, 3:4]
        return UserParts({}, bias, bias)

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """Nothing: see `cross_dim`."""
        raise NotImplementedError("a linear host has no cross part")
