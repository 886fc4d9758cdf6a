"""DCNv2 as the ID-based host (arXiv 2008.13535), its parallel form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plugrank_training.config import HostConfig
from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.lr import FirstOrder
from plugrank_training.models.pooled_history import PooledPast, pooled_history


class DcnV2(Branch):
    """Cross layers `x' = x0 * (W x + b) + x` (eq. 1) over all fields; the click model's head is the deep part.

    Embeddings are looked up once an item and once a user. The cross layers mix both, so they run for every candidate:
    `cross_layers * (fields * embedding_dim)^2` multiplications each.
    """

    history_outputs = ("cross_item",)
    candidate_outputs = ("cross_item",)

    def __init__(
        self, item: Sequence[Feature], user: Sequence[Feature], config: HostConfig, past: Sequence[Feature] = ()
    ) -> None:
        super().__init__()
        self.item_embeddings = FeatureEmbeddings(item, config.embedding_dim)
        self.user_embeddings = FeatureEmbeddings(user, config.embedding_dim)
        self.item_bias = FirstOrder(item)
        self.item_dim = self.item_embeddings.dim
        # Action and value of the history's entries, where the data has them.
        self.past = PooledPast(past, config.embedding_dim) if past else None
        self.user_dim = self.user_embeddings.dim + 2 * self.item_dim + (self.past.dim if self.past else 0)
        self.cross_dim = self.item_dim + self.user_dim
        self.layers = nn.ModuleList(nn.Linear(self.cross_dim, self.cross_dim) for _ in range(config.cross_layers))

    def item(self, inputs: ItemInputs) -> ItemParts:
        """Embeddings, see `Branch.item`."""
        rows = self.item_embeddings(inputs.features)
        return ItemParts({"cross_item": rows}, rows, self.item_bias(inputs.features))

    def user(self, history: History) -> UserParts:
        """Embeddings of the user, of clicked and of refused history, see `Branch.user`."""
        past = pooled_history(history.items["cross_item"], history.label, history.mask)
        parts = [self.user_embeddings(history.user_features), past]
        rows = torch.cat([*parts, self.past(history)] if self.past is not None else parts, dim=-1)
        return UserParts({"cross_user": rows}, rows)

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """The cross network, see `Branch.cross`."""
        item = candidate["cross_item"]
        user = state["cross_user"].unsqueeze(1).expand(-1, item.shape[1], -1)
        first = rows = torch.cat([item, user], dim=-1)
        for layer in self.layers:
            rows = first * layer(rows) + rows
        return rows

    def groups(self) -> list[Group]:
        """Embeddings and cross layers, see `Branch.groups`."""
        past = [] if self.past is None else [self.past]
        embeddings = (self.item_embeddings, self.user_embeddings, self.item_bias, *past)
        return [
            Group("host.embeddings", embeddings, "inside item and user parts"),
            Group("host.cross", (self.layers,), "no"),
        ]
