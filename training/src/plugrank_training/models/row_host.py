"""Hosts any CTR model that scores rows of features: one row for each candidate of a user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import (
    GIVEN,
    PAST,
    REQUEST,
    History,
    ItemInputs,
    ItemParts,
    Named,
    UserParts,
    named,
)
from plugrank_training.models.schema import Schema

# Ids pass through the item record and the user state as f32, which holds whole numbers up to here.
LARGEST_ID = 1 << 24


@dataclass(frozen=True)
class Rows:
    """`n` impressions, everything by row; padding of the history has mask 0 and any ids."""

    # Of each feature ids int64, or numbers f32, [n] or [n, length]; of the history [n, L] or [n, L, length].
    item: Named
    user: Named
    history: Named
    # Of the request, and given for the candidate.
    request: Named
    candidate: Named
    # int64 [n, L]: 1 click, 0 impression; int64 [n, L]: log2 bucket of the age; f32 [n, L].
    history_label: Tensor
    history_age_bucket: Tensor
    history_mask: Tensor
    # What is told of the history's entries, by name: ids int64, or numbers f32, [n, L].
    past: Named = field(default_factory=dict)


class RowModel(nn.Module, ABC):
    """What a model must have to be hosted: a constructor of `(schema, config)`, a width and a forward pass."""

    # Width of what `forward` gives: 1 for a logit, or one for each task; more for a representation.
    output_dim: int

    @abstractmethod
    def forward(self, rows: Rows) -> Tensor:
        """`[n, output_dim]`, f32."""


class RowHost(Branch):
    """A `RowModel` as a branch.

    Nothing of it can be cached but its inputs: the item record and the user state carry the ids themselves, and the
    whole model runs for every candidate with the user's history repeated. That costs several times a host that is cut
    (`Branch`), for whatever model there is.
    """

    history_outputs = ("host_ids",)
    candidate_outputs = ("host_ids",)

    def __init__(self, schema: Schema, model: RowModel) -> None:
        super().__init__()
        for feature in (*schema.item, *schema.user, *schema.history):
            if not feature.is_number and feature.size > LARGEST_ID:
                raise ValueError(
                    f"feature `{feature.name}` has {feature.size} values; a hosted model takes {LARGEST_ID}"
                )
        self.model = model
        self.item_features, self.user_features, self.past_features = schema.item, schema.user, schema.history
        self.item_dim, self.user_dim, self.cross_dim = 1, 1, model.output_dim

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The item's ids as numbers, see `Branch.item`."""
        ids = pack(inputs.features, self.item_features)
        nothing = torch.zeros_like(ids[:, :1])
        return ItemParts({"host_ids": ids}, nothing, nothing)

    def user(self, history: History) -> UserParts:
        """The user's ids and the history's, see `Branch.user`."""
        told = torch.stack([history.label.float(), history.age_bucket.float(), history.mask], dim=-1)
        parts = [history.items["host_ids"], told]
        if self.past_features:
            parts.insert(1, pack(named(history.user_features, PAST), self.past_features))
        past = torch.cat(parts, dim=-1) * history.mask.unsqueeze(-1)
        ids = pack(history.user_features, self.user_features)
        return UserParts({"host_user": ids, "host_history": past}, torch.zeros_like(ids[:, :1]))

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """The model, one row for each candidate, see `Branch.cross`."""
        items = candidate["host_ids"]
        users, count = items.shape[0], items.shape[1]

        def repeat(rows: Tensor) -> Tensor:
            return rows.unsqueeze(1).expand(users, count, *rows.shape[1:]).flatten(0, 1)

        past = repeat(state["host_history"])
        told = past[..., -3:]
        width = sum(feature.length for feature in self.item_features)
        rows = Rows(
            item=unpack(items.flatten(0, 1), self.item_features),
            user=unpack(repeat(state["host_user"]), self.user_features),
            history=unpack(past[..., :width], self.item_features),
            history_label=told[..., 0].round().long(),
            history_age_bucket=told[..., 1].round().long(),
            history_mask=told[..., 2],
            request={name: repeat(values) for name, values in named(state, REQUEST).items()},
            candidate={name: values.flatten(0, 1) for name, values in named(candidate, GIVEN).items()},
            past=unpack(past[..., width:-3], self.past_features) if self.past_features else {},
        )
        made: Tensor = self.model(rows)
        return made.unflatten(0, (users, count))

    def groups(self) -> list[Group]:
        """All of the model, see `Branch.groups`."""
        return [Group("host.model", (self.model,), "no, runs for every candidate")]


def pack(ids: Named, features: Sequence[Feature]) -> Tensor:
    """All features side by side, ids as f32 too, `[n, sum of lengths]`."""
    columns = [(ids[f.name] if f.length > 1 else ids[f.name].unsqueeze(-1)).float() for f in features]
    return torch.cat(columns, dim=-1)


def unpack(numbers: Tensor, features: Sequence[Feature]) -> Named:
    """What `pack` was given, for any leading dimensions."""
    made = {}
    for feature, piece in zip(features, torch.split(numbers, [f.length for f in features], dim=-1), strict=True):
        rows = piece if feature.length > 1 else piece.squeeze(-1)
        made[feature.name] = rows if feature.is_number else rows.round().long()
    return made
