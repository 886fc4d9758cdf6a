"""How much each branch has to say of a user with so much past."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Keeps the logarithms of up to a hundred entries near 1.
SCALE = 0.3


class PastGate(nn.Module):
    """A factor between 0 and 2 for each branch, by how many entries of each label the history has.

    What a branch makes of a history is worth little while there is hardly any, and a network that is trained on
    histories of all lengths together weighs it as for most of them. Starts from 1 for every branch and user.
    """

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(2, branches)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, label: Tensor, mask: Tensor) -> Tensor:
        """Labels and mask of histories, `[users, L]` each -> `[users, branches]`."""
        clicked = (mask * label.to(mask.dtype)).sum(1)
        counts = torch.stack([clicked, mask.sum(1) - clicked], dim=-1)
        return 2.0 * self.weigh((counts + 1.0).log() * SCALE).sigmoid()

    @torch.no_grad()
    def start_from(self, other: PastGate) -> None:
        """Take over the gates of the first branches, those of `other`."""
        count = other.weigh.out_features
        self.weigh.weight[:count] = other.weigh.weight
        self.weigh.bias[:count] = other.weigh.bias
