"""How often a candidate was clicked lately, and of how many impressions, as an input of a click model."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from plugrank_training.data.recent_clicks import RATE_COLUMNS
from plugrank_training.models.branch import Branch, Group
from plugrank_training.models.features import OTHER
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts

# The item output.
RECENT = "recent_clicks"


class RecentPopularity(Branch):
    """Log shares of recent clicks (`data/recent_clicks.py`), one a half-life; before them, where `rates` are read, the
    log-odds of the click rate and how many impressions it is of.

    What a list is trained for is the share of clicks that an item gets now, so the last half-life's enters the logit
    with a weight of 1 to begin with where a list loss trains it, and the rest of the network learns what it leaves; of
    the logit of clicks the same is true of the click rate. In training each candidate has the numbers of the
    impression's own moment (`Batch.recent`); a bundle carries those of the end of the log, and for an item without an
    id of its own those of one that was never clicked, or never shown.
    """

    history_outputs = ()
    candidate_outputs = (RECENT,)
    linear = True

    def __init__(self, items: int, half_lives: int, rates: bool = False) -> None:
        super().__init__()
        self.half_lives = half_lives
        self.rates = RATE_COLUMNS if rates else 0
        self.cross_dim = self.rates + half_lives
        self.register_buffer("log_share", torch.zeros(items, self.cross_dim))
        self.log_share: Tensor
        self.item_dim = self.user_dim = 0
        self.log_odds = (0,) if rates else ()

    @torch.no_grad()
    def fill(self, ids: Tensor, told: np.ndarray) -> None:
        """Take over what is known of items, f32 `[items, cross_dim]`; `ids [items]` are theirs in the vocabulary."""
        rows = torch.from_numpy(told).to(self.log_share)
        known = (ids > OTHER).to(rows.device)
        never = rows.min(dim=0).values
        never[: self.rates] = 0.0
        table = never.expand_as(self.log_share).clone()
        table[ids.to(rows.device)[known]] = rows[known]
        self.log_share.copy_(table)

    def item(self, inputs: ItemInputs) -> ItemParts:
        """The shares, see `Branch.item`."""
        told = functional.embedding(inputs.features["item_id"], self.log_share)
        return ItemParts({RECENT: told}, told[:, :0], torch.zeros_like(told[:, :1]))

    def user(self, history: History) -> UserParts:
        """Nothing, see `Branch.user`."""
        return UserParts({}, history.mask[:, :0])

    def cross(self, state: Named, candidate: Named) -> Tensor:  # noqa: ARG002 - says nothing of the user
        """The shares, see `Branch.cross`."""
        return candidate[RECENT]

    def groups(self) -> list[Group]:
        """Nothing trains, see `Branch.groups`."""
        return [Group("recent clicks", (self,), "shares per item")]
