"""The baseline "IDRec and frozen vectors": modal vectors as one more item feature, nothing pre-trained on behaviour."""

from __future__ import annotations

import torch
from torch import Tensor

from plugrank_training.config import PpmConfig
from plugrank_training.models.branch import Branch, Group, interest
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.pooled_history import pooled_history
from plugrank_training.models.ppm import ItemProjection


class FrozenVectors(Branch):
    """A learned projection of the vectors, its means over the history, and its product with the user's interest."""

    reads_vectors = True
    history_outputs = ("frozen_vector",)
    candidate_outputs = ("frozen_vector",)

    def __init__(self, parts: tuple[int, ...], config: PpmConfig) -> None:
        super().__init__()
        self.projection = ItemProjection(parts, config.dim)
        self.item_dim, self.user_dim, self.cross_dim = config.dim, 2 * config.dim, config.dim

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The projected vector, see `Branch.item`."""
        vector = self.projection(inputs)
        return ItemParts({"frozen_vector": vector}, vector, torch.zeros_like(vector[:, :1]))

    def user(self, history: History) -> UserParts:
        """Interest and pooled history, see `Branch.user`."""
        vectors = history.items["frozen_vector"]
        likes = interest(vectors, history.residual, history.mask)
        return UserParts({"frozen_interest": likes}, pooled_history(vectors, history.label, history.mask))

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """The product of interest and candidate, see `Branch.cross`."""
        return candidate["frozen_vector"] * state["frozen_interest"].unsqueeze(1) * 4.0

    def groups(self) -> list[Group]:
        """The projection, see `Branch.groups`."""
        return [Group("vectors.projection", (self.projection,), "projected vector, per item")]
