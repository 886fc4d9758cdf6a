"""DeepFM as the ID-based host (arXiv 1703.04247), cut at the cache borders."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from plugrank_training.config import HostConfig
from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.lr import FirstOrder
from plugrank_training.models.pooled_history import PooledPast, pooled_history


def pairs_within(fields: Tensor) -> Tensor:
    """Inner products of all pairs of fields: half of (square of the sum, less the sum of squares).

    `[n, fields, d]` -> `[n, 1]`. Rendle, Factorization Machines, 2010, eq. 3.
    """
    whole = fields.sum(1).square() - fields.square().sum(1)
    return 0.5 * whole.sum(-1, keepdim=True)


class DeepFm(Branch):
    """First order, pairwise products and, in the click model's head, the deep part over the same embeddings.

    Of the pairs, those of two item fields belong to the item and those of two user fields to the user; pairs of an
    item field and a user field sum to the product of two sums, the only thing left for a candidate. Its numbers are
    weighted by learned weights, which start at 0, instead of being added up.
    """

    history_outputs = ("fm_fields",)
    candidate_outputs = ("fm_sum",)

    def __init__(
        self, item: Sequence[Feature], user: Sequence[Feature], config: HostConfig, past: Sequence[Feature] = ()
    ) -> None:
        super().__init__()
        self.dim = config.embedding_dim
        self.item_embeddings = FeatureEmbeddings(item, self.dim)
        self.user_embeddings = FeatureEmbeddings(user, self.dim)
        self.item_weights, self.user_weights = FirstOrder(item), FirstOrder(user)
        self.item_dim = self.item_embeddings.dim
        # Action and value of the history's entries, where the data has them.
        self.past = PooledPast(past, config.embedding_dim) if past else None
        self.user_dim = self.user_embeddings.dim + 2 * self.item_dim + (self.past.dim if self.past else 0)
        self.cross_dim = self.dim

    def fields(self, rows: Tensor) -> Tensor:
        """`[n, fields * d]` -> `[n, fields, d]`."""
        return rows.unflatten(-1, (-1, self.dim))

    def item(self, inputs: ItemInputs) -> ItemParts:
        """Embeddings, their sum and the item's own pairs, see `Branch.item`."""
        rows = self.item_embeddings(inputs.features)
        fields = self.fields(rows)
        prior = self.item_weights(inputs.features) + pairs_within(fields)
        return ItemParts({"fm_fields": rows, "fm_sum": fields.sum(1)}, rows, prior)

    def user(self, history: History) -> UserParts:
        """User fields, clicked and refused history as further fields, see `Branch.user`."""
        past = pooled_history(history.items["fm_fields"], history.label, history.mask)
        parts = [self.user_embeddings(history.user_features), past]
        rows = torch.cat([*parts, self.past(history)] if self.past is not None else parts, dim=-1)
        fields = self.fields(rows)
        bias = self.user_weights(history.user_features) + pairs_within(fields)
        return UserParts({"fm_user": fields.sum(1)}, rows, bias)

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """Pairs of an item field and a user field, see `Branch.cross`."""
        return candidate["fm_sum"] * state["fm_user"].unsqueeze(1)

    def groups(self) -> list[Group]:
        """Embeddings and first-order weights, see `Branch.groups`."""
        past = [] if self.past is None else [self.past]
        embeddings = (self.item_embeddings, self.user_embeddings, *past)
        return [
            Group("host.embeddings", embeddings, "inside item and user parts"),
            Group("host.first_order", (self.item_weights, self.user_weights), "the same"),
        ]
