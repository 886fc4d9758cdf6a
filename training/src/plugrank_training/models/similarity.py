"""How like a candidate's content is to what the user clicked and refused, as an input of a click model.

Vectors themselves let a network remember items one by one: a few hundred dimensions tell a thousand films apart. How
near a candidate is to a history does not. SimTier (arXiv 2407.19467) counts the history's entries by tiers
of similarity, which `tiers` does too; the smooth numbers beside it weigh entries by their similarity and their age.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import SimilarityConfig
from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.features import MISSING, Feature
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts
from plugrank_training.models.principal_parts import PrincipalParts

# Time constants, in entries of one label, of the means; the last weighs all alike.
DECAYS = (3.0, 10.0, 1e6)
# exp(sharpness * (cosine - 1)) weighs an entry: the higher, the more the nearest count. The others are the first one's
# powers, so that one exponential a pair of candidate and entry is enough.
SHARPNESS = (4.0, 12.0)
# Entries' worth of nothing that each mean starts from.
SHRINK = 1.0


class Similarity(PrincipalParts, Branch):
    """Cosines of candidate and history entries in each content space (text, image, each content feature but numbers).

    For each space: mean cosine with clicked and with refused entries, of the newest and of all; and among the entries
    nearest to the candidate, the mean residual and how many were clicked and refused. With `tiers`, how many clicked
    and refused entries lie in each tier of cosine. None of the spaces trains.
    """

    reads_vectors = True
    history_outputs = ("similarity_vector",)
    candidate_outputs = ("similarity_vector",)

    def __init__(self, parts: tuple[int, ...], item: tuple[Feature, ...], config: SimilarityConfig) -> None:
        super().__init__()
        self.features = tuple(one for one in item if one.name != "item_id" and not one.is_number)
        self.spaces = self.keep_directions(parts, config.dim)
        for number, feature in enumerate(self.features):
            dim = min(config.dim, feature.size)
            table = torch.eye(feature.size) if dim == feature.size else signs(feature.size, dim)
            table[MISSING] = 0.0
            self.register_buffer(f"table_{number}", table)
            self.spaces += (dim,)
        self.smooth, self.tiers = config.smooth, config.tiers
        self.register_buffer("middles", torch.linspace(-1.0, 1.0, max(1, config.tiers)).unsqueeze(1), persistent=False)
        self.middles: Tensor
        if self.smooth:
            self.null = nn.Parameter(torch.ones(len(self.spaces), len(SHARPNESS)))
        self.item_dim = self.user_dim = 0
        smooth = 2 * len(DECAYS) + 3 * len(SHARPNESS) if self.smooth else 0
        self.cross_dim = len(self.spaces) * (smooth + 2 * self.tiers)

    def item(self, inputs: ItemInputs) -> ItemParts:
        """Unit vectors in every space, see `Branch.item`."""
        stored = inputs.frozen.get("similarity_vector")
        vector = self.vectors(inputs) if stored is None else stored
        return ItemParts({"similarity_vector": vector}, vector[:, :0], torch.zeros_like(vector[:, :1]))

    def frozen_item(self, inputs: ItemInputs) -> Named:
        """The same, see `Branch.frozen_item`."""
        return {"similarity_vector": self.vectors(inputs)}

    def vectors(self, inputs: ItemInputs) -> Tensor:
        """Unit vectors in every space side by side, zeros where there is nothing, `[n, sum of dims]`."""
        found = self.along_directions(inputs.modal, inputs.present)
        for number, feature in enumerate(self.features):
            rows = functional.embedding(inputs.features[feature.name], self.get_buffer(f"table_{number}"))
            found.append(rows if feature.length == 1 else rows.sum(-2))
        return torch.cat([functional.normalize(rows, dim=-1, eps=1e-6) for rows in found], dim=-1)

    def user(self, history: History) -> UserParts:
        """The entries' vectors, their means and what each entry counts for, see `Branch.user`."""
        vectors = history.items["similarity_vector"]
        clicked = history.mask * history.label.to(history.mask.dtype)
        refused = history.mask - clicked
        means = []
        for side in (clicked, refused):
            place = (side.cumsum(1) - 1.0).clamp(min=0.0)
            weight = torch.stack([torch.exp(-place / decay) for decay in DECAYS], dim=1) * side.unsqueeze(1)
            means.append(torch.matmul(weight, vectors) / (weight.sum(-1, keepdim=True) + SHRINK))
        counted = torch.stack([history.residual, clicked, refused], dim=-1)
        return UserParts(
            {
                # Padding counts for nothing in `similarity_values`.
                "similarity_keys": vectors,
                "similarity_values": counted,
                "similarity_means": torch.cat(means, dim=1).flatten(1),
            },
            vectors[:, 0, :0],
        )

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """What each space tells of a candidate, see `Branch.cross`.

        Everything but the products with keys, means and values is done for all spaces at once: a graph of many small
        steps takes longer than its arithmetic.
        """
        queries = torch.split(candidate["similarity_vector"], list(self.spaces), dim=-1)
        keys = torch.split(state["similarity_keys"], list(self.spaces), dim=-1)
        means = torch.split(state["similarity_means"].unflatten(-1, (2 * len(DECAYS), -1)), list(self.spaces), dim=-1)
        # 1 for an entry that is equal; the part that is the same for every pair is put into the values.
        values = [state["similarity_values"] * math.exp(-sharpness) for sharpness in SHARPNESS]
        by_tier, near, mean_cosine = [], [], []
        for query, key, mean in zip(queries, keys, means, strict=True):
            cosine = torch.matmul(query, key.transpose(1, 2))
            if self.tiers:
                by_tier.append(self.by_tier(cosine, state["similarity_values"]))
            if not self.smooth:
                continue
            mean_cosine.append(torch.matmul(query, mean.transpose(1, 2)) * 3.0)
            first = (cosine * SHARPNESS[0]).exp()
            for sharpness, value in zip(SHARPNESS, values, strict=True):
                near.append(torch.matmul(power(first, round(sharpness / SHARPNESS[0])), value))
        spaces = len(self.spaces)
        told = []
        if by_tier:
            told.append(torch.cat(by_tier, dim=-1).unflatten(-1, (spaces, 2 * self.tiers)))
        if self.smooth:
            told.append(torch.cat(mean_cosine, dim=-1).unflatten(-1, (spaces, 2 * len(DECAYS))))
            # [users, candidates, spaces, sharpness, (residual, clicked, refused)]
            summed = torch.cat(near, dim=-1).unflatten(-1, (spaces, len(SHARPNESS), 3))
            counts = summed[..., 1:]
            shrink = functional.softplus(self.null).unsqueeze(-1)
            residual = summed[..., :1] / (counts.sum(-1, keepdim=True) + shrink)
            told.append(torch.cat([residual, (counts + 1.0).log()], dim=-1).flatten(-2))
        return torch.cat(told, dim=-1).flatten(-2)

    def by_tier(self, cosine: Tensor, counted: Tensor) -> Tensor:
        """Logarithms of one more than the clicked and refused entries in each tier of cosine, from -1 to 1.

        SimTier's histogram of similarities (arXiv 2407.19467), but that an entry between the middles of
        two tiers counts for both in parts that sum to 1: a hard border would turn the last bit of a cosine, which
        differs between machines, into a whole count. `cosine [users, candidates, L]`, `counted [users, L, 3]` as
        `user` gives it -> `[users, candidates, tiers * 2]`, both counts of a tier side by side.
        """
        width = 2.0 / max(1, self.tiers - 1)
        # [users, candidates, tiers, L]
        share = (1.0 - (cosine.unsqueeze(2) - self.middles).abs() / width).clamp(min=0.0)
        counts = torch.matmul(share, counted.unsqueeze(1))[..., 1:]
        return (counts + 1.0).log().flatten(-2)

    def groups(self) -> list[Group]:
        """What the nearest entries' means are shrunk by, see `Branch.groups`; the spaces do not train."""
        return [Group("similarity", (self,), "vectors per item, vectors and means per history")]


def power(base: Tensor, exponent: int) -> Tensor:
    """`base` to a whole power of at least 1, by products."""
    raised = base
    for _ in range(exponent - 1):
        raised = raised * base
    return raised


def signs(size: int, dim: int) -> Tensor:
    """Fixed random vectors of signs, nearly at right angles to each other, `[size, dim]`."""
    chosen = torch.Generator().manual_seed(0)
    return torch.randint(0, 2, (size, dim), generator=chosen) * 2.0 - 1.0
