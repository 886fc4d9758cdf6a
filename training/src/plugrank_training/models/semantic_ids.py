"""Semantic ids: an item's content as a few codes, each of which many items share, with learned embeddings.

An id of its own tells nothing of an item that nobody has clicked yet, and a vector of a few hundred dimensions lets a
network remember items one by one. Codes lie between: items of like content share them, and what is learned of a code
holds for all of them. QARM (arXiv 2411.11739) quantises multi-modal vectors by residual k-means and trains
the codes' embeddings with the ranking model, as here.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from sklearn.cluster import KMeans
from torch import Tensor, nn

from plugrank_training.config import SemanticIdConfig
from plugrank_training.models.branch import Group
from plugrank_training.models.inputs import ItemInputs, ItemParts, Named
from plugrank_training.models.principal_parts import PrincipalParts
from plugrank_training.models.vector_branch import VectorBranch

# Principal directions of each part that are quantised.
SPACE = 32
# Keeps the logits of codes near 0 at the start.
START = 0.05


class CodeEmbeddings(nn.Module):
    """A table for each level, whose row 0 is of items without content; the rows of an item's codes are added."""

    def __init__(self, levels: int, codes: int, dim: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(codes + 1, dim) for _ in range(levels))
        for table in self.tables:
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=START)

    def forward(self, codes: Tensor) -> Tensor:
        """int64 `[n, levels]` -> `[n, dim]`."""
        rows = [table(codes[:, level]) for level, table in enumerate(self.tables)]
        return torch.stack(rows).sum(0)


class SemanticIds(PrincipalParts, VectorBranch):
    """Codes by residual quantisation of the modal vectors, their embeddings, and how these agree with the history's.

    Level `l` of an item is the nearest of `codes` centroids to what the centroids of the levels before leave of its
    vector: `c_l = argmin_k ||r_l - e_lk||`, `r_{l+1} = r_l - e_{l,c_l}` (the residual quantitative code of arXiv
    2411.11739). Centroids are k-means over the catalog, fitted before training; they do not train. The history is read
    as FrozenVectors reads it: its residual-weighted mean, which multiplies the candidate's, and its pooled clicks and
    refusals.
    """

    vector = "semantic"
    reads_vectors = True
    history_outputs = ("semantic_vector",)
    candidate_outputs = ("semantic_vector",)

    def __init__(self, parts: tuple[int, ...], config: SemanticIdConfig) -> None:
        super().__init__()
        self.levels, self.codes = config.levels, config.codes
        width = sum(self.keep_directions(parts, SPACE))
        self.register_buffer("centroids", torch.zeros(config.levels, config.codes, width))
        self.centroids: Tensor
        self.code_embeddings = CodeEmbeddings(config.levels, config.codes, config.dim)
        self.prior = nn.Linear(config.dim, 1, bias=False)
        self.set_widths(config.dim)

    @torch.no_grad()
    def fit(self, modal: Tensor, present: Tensor, seed: int) -> None:
        """Take directions and centroids from items; `[items, sum of parts]`, `[items, parts]`."""
        self.fit_directions(modal, present)
        left = self.space(modal, present)[present.sum(1) > 0].double().cpu().numpy()
        for level in range(self.levels):
            count = min(self.codes, len(np.unique(left, axis=0)))
            if count < 1:
                return
            found_codes = KMeans(count, n_init=1, random_state=seed).fit(left)
            centres = found_codes.cluster_centers_
            # Codes that are not needed lie where no item is nearest to them.
            self.centroids[level] = 1e3
            self.centroids[level, :count] = torch.from_numpy(centres).to(self.centroids)
            left = left - centres[found_codes.labels_]

    def space(self, modal: Tensor, present: Tensor) -> Tensor:
        """Each part as a unit vector along its principal directions, side by side; zeros where it is absent."""
        along = self.along_directions(modal, present)
        return torch.cat([functional.normalize(rows, dim=-1, eps=1e-6) for rows in along], dim=-1)

    def quantised(self, inputs: ItemInputs) -> Tensor:
        """Codes from 1, 0 where an item has no content; f32 `[n, levels]`, as what is stored is f32."""
        left = self.space(inputs.modal, inputs.present)
        found = []
        for level in range(self.levels):
            centres = self.centroids[level]
            # The square of `left` is the same for all codes.
            distance = centres.square().sum(-1) - 2.0 * (left @ centres.T)
            nearest = distance.argmin(-1)
            left = left - functional.embedding(nearest, centres)
            found.append(nearest + 1)
        there = (inputs.present.sum(-1, keepdim=True) > 0).to(inputs.present.dtype)
        return torch.stack(found, dim=-1).to(inputs.present.dtype) * there

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The sum of the codes' embeddings, see `Branch.item`."""
        stored = inputs.frozen.get("semantic_codes")
        codes = self.quantised(inputs) if stored is None else stored
        vector = self.code_embeddings(codes.round().long())
        return ItemParts({"semantic_vector": vector}, vector, self.prior(vector))

    def frozen_item(self, inputs: ItemInputs) -> Named:
        """The codes, see `Branch.frozen_item`."""
        return {"semantic_codes": self.quantised(inputs)}

    def groups(self) -> list[Group]:
        """The codes' embeddings, see `Branch.groups`; the codes do not train."""
        return [Group("semantic ids", (self,), "codes' vector, per item")]
