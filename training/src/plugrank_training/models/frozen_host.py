"""A trained network as a branch of a click model: it stays as it is, and its logit is what it says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.branch_model import BranchModel
from plugrank_training.models.inputs import GIVEN, REQUEST, History, ItemInputs, ItemParts, Named, UserParts, named

# Before the names of its outputs, which are unique over the branches of a model.
PREFIX = "plugged_"


class FrozenHost(Branch):
    """Another network's logits, one a task, less their means, as all that it says of a pair.

    `offset` are these means: without them both would bring the click rate, and their sum would count it twice.
    """

    def __init__(self, model: BranchModel, offset: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("offset", torch.tensor(list(offset), dtype=torch.float32))
        self.offset: Tensor
        self.item_dim, self.user_dim, self.cross_dim = 1, 1, len(model.tasks)
        self.history_outputs = tuple(PREFIX + name for name in model.history_outputs())
        self.candidate_outputs = tuple(PREFIX + name for name in model.candidate_outputs())
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def item(self, inputs: ItemInputs) -> ItemParts:
        """What the network caches of an item, see `Branch.item`."""
        made = prefixed(self.model.encode_items(inputs))
        nothing = torch.zeros_like(next(iter(made.values()))[:, :1])
        return ItemParts(made, nothing, nothing)

    def user(self, history: History) -> UserParts:
        """What the network caches of a user, see `Branch.user`."""
        items = named(history.items, PREFIX)
        state = self.model.encode_users(items, history.label, history.age_bucket, history.mask, history.user_features)
        return UserParts(prefixed(state), torch.zeros_like(history.mask[:, :1]))

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """The logit, see `Branch.cross`."""
        first = next(rows for name, rows in state.items() if name.startswith(PREFIX))
        recency = torch.zeros_like(first.flatten(1)[:, 0], dtype=torch.long)
        context = {name: rows for name, rows in state.items() if name.startswith(REQUEST)}
        given = {name: rows for name, rows in candidate.items() if name.startswith(GIVEN)}
        own = named(state, PREFIX) | context, named(candidate, PREFIX) | given
        return self.model.score_tasks(*own, recency) - self.offset

    def train(self, mode: bool = True) -> FrozenHost:
        """Switch between training and use; the network itself is always in use: it drops nothing out."""
        nn.Module.train(self, mode)
        self.model.eval()
        return self

    def groups(self) -> list[Group]:
        """All of the network, see `Branch.groups`."""
        return [Group("host", (self.model,), "as it was trained")]


def prefixed(values: Named) -> Named:
    """Outputs by names that no other branch has."""
    return {PREFIX + name: value for name, value in values.items()}
