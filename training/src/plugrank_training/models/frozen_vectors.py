"""The baseline "IDRec and frozen vectors": modal vectors as one more item feature, nothing pre-trained on behaviour."""

from __future__ import annotations

import torch

from plugrank_training.config import PpmConfig
from plugrank_training.models.branch import Group
from plugrank_training.models.inputs import ItemInputs, ItemParts
from plugrank_training.models.ppm import ItemProjection
from plugrank_training.models.vector_branch import VectorBranch


class FrozenVectors(VectorBranch):
    """A learned projection of the vectors, its means over the history, and its product with the user's interest."""

    vector = "frozen"
    reads_vectors = True
    history_outputs = ("frozen_vector",)
    candidate_outputs = ("frozen_vector",)

    def __init__(self, parts: tuple[int, ...], config: PpmConfig) -> None:
        super().__init__()
        self.projection = ItemProjection(parts, config.dim)
        self.set_widths(config.dim)

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The projected vector, see `Branch.item`."""
        vector = self.projection(inputs)
        return ItemParts({"frozen_vector": vector}, vector, torch.zeros_like(vector[:, :1]))

    def groups(self) -> list[Group]:
        """The projection, see `Branch.groups`."""
        return [Group("vectors.projection", (self.projection,), "projected vector, per item")]
