"""How often each item was clicked in training, as an input of a click model."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts


class ItemPopularity(Branch):
    """The logarithm of one more than an item's clicks, centred over the items; one weight makes it log-odds.

    An embedding that is decayed learns it badly, and a list over the whole catalog is mostly a matter of it. An item
    without an id of its own has no clicks.
    """

    history_outputs = ()
    candidate_outputs = ()
    linear = True

    def __init__(self, items: int) -> None:
        super().__init__()
        self.register_buffer("log_clicks", torch.zeros(items, 1))
        self.log_clicks: Tensor
        self.weight = nn.Parameter(torch.zeros(1))
        self.item_dim, self.user_dim, self.cross_dim = 1, 0, 0

    @torch.no_grad()
    def fill(self, ids: Tensor, clicks: np.ndarray) -> None:
        """Take over the clicks of items, `[items]`; `ids [items]` are theirs in the vocabulary."""
        known = ids > 1
        rows = torch.from_numpy(np.log1p(clicks)).to(self.log_clicks)
        table = torch.zeros_like(self.log_clicks)
        table[ids[known], 0] = rows[known.to(rows.device)]
        self.log_clicks.copy_(table - rows.mean())

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The item's own log-odds, see `Branch.item`."""
        told = functional.embedding(inputs.features["item_id"], self.log_clicks)
        return ItemParts({}, told, told * self.weight)

    def user(self, history: History) -> UserParts:
        """Nothing, see `Branch.user`."""
        return UserParts({}, history.mask[:, :0])

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """Nothing: see `cross_dim`."""
        raise NotImplementedError("popularity has no cross part")

    def groups(self) -> list[Group]:
        """The weight, see `Branch.groups`."""
        return [Group("popularity", (self,), "inside item parts")]
