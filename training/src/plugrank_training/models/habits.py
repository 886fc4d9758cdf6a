"""What a user's labels alone tell: how often they click, recently and overall."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from plugrank_training.models.transformer import first_rows

# Time constants, in history entries, of the running means; the last is long enough to weigh all alike.
WINDOWS = (3.0, 10.0, 30.0, 100.0, 1e6)
# Entries' worth of "like everybody" that each mean starts from.
SHRINK = 3.0
# The same of the level.
LEVEL_SHRINK = 5.0


class Habits(nn.Module):
    """Running means of labels and of residuals (label less the item's expected rate), at several time constants.

    The history holds the last clicks and the last impressions, each up to a limit, so a plain count over all of it
    says nothing once both limits are reached; means that forget do.
    """

    dim = 3 * len(WINDOWS)

    def __init__(self, length: int) -> None:
        super().__init__()
        ages = torch.arange(length, dtype=torch.float32).unsqueeze(1)
        self.register_buffer("decay", torch.exp(-ages / torch.tensor(WINDOWS)), persistent=False)
        self.decay: Tensor

    def forward(self, label: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
        """`[users, L]` each -> `[users, dim]`."""
        decay = first_rows(self.decay, label.shape[1])
        count = mask @ decay
        labels = (label.to(mask.dtype) - 0.5) * mask
        return torch.cat(
            [(residual @ decay) / (count + SHRINK), (labels @ decay) / (count + SHRINK), count.add(1.0).log() * 0.2],
            dim=-1,
        )


class UserLevel(nn.Module):
    """How much more often than expected a user clicks, as log-odds times a weight that starts from 1.

    Of `c` clicks in `n` entries of which `e` were expected on average, by what the items themselves say: the log-odds
    of `(c + a e) / (n + a)` less those of `e`, with `a` = `LEVEL_SHRINK`; 0 without a past. `Habits` tells the same to
    linear and dense layers, which have to learn from nothing that it is worth its own log-odds, in the few steps that
    a small data set has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, label: Tensor, expected: Tensor, mask: Tensor) -> Tensor:
        """`[users, L]` each -> `[users, 1]`."""
        count = mask.sum(1, keepdim=True)
        clicks = (label.to(mask.dtype) * mask).sum(1, keepdim=True)
        # Of the entries' own chances, kept off 0 and 1, where log-odds have no end.
        mean = ((expected * mask).sum(1, keepdim=True) / count.clamp(min=1.0)).clamp(0.02, 0.98)
        rate = (clicks + LEVEL_SHRINK * mean) / (count + LEVEL_SHRINK)
        known = (count > 0).to(mask.dtype)
        return self.weight * known * (rate.log() - (1.0 - rate).log() - mean.log() + (1.0 - mean).log())
