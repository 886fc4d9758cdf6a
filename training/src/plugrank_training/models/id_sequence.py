"""The baseline "IDRec and a sequence of ids": PPM over item ids in place of content (SASRec, arXiv 1808.09781)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.models.feature_embeddings import FeatureEmbeddings
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import ItemInputs
from plugrank_training.models.ppm import Ppm


class IdProjection(nn.Module):
    """An item's id to its vector, of length 1; items without an id of their own share one."""

    def __init__(self, item_id: Feature, dim: int) -> None:
        super().__init__()
        self.embeddings = FeatureEmbeddings((item_id,), dim)
        self.feed = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, inputs: ItemInputs) -> Tensor:
        """Ids of `n` items -> `[n, dim]`."""
        rows = self.embeddings(inputs.features)
        return functional.normalize(rows + self.feed(rows), dim=-1, eps=1e-6)


class IdSequence(Ppm):
    """History transformer and target attention of PPM over item ids alone, pre-trained on next clicks as PPM is.

    Set beside UniM it tells what content brings apart from what the sequence and its pre-training bring.
    """

    reads_vectors = False

    @staticmethod
    def make_projection(parts: tuple[int, ...], item: Sequence[Feature], dim: int) -> nn.Module:  # noqa: ARG004
        """The embedding of the id."""
        return IdProjection(next(feature for feature in item if feature.name == "item_id"), dim)

    def stored_groups(self) -> tuple[str, ...]:
        """None: what is stored may not depend on the id, see `Branch.frozen_item`."""
        return ()
