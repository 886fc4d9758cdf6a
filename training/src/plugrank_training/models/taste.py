"""A user's taste as the answer of a ridge regression over the history, and what it says of a candidate.

Attention asks how what is like the candidate fared. Of an item that shares one trait with each of many entries, and
is like none of them as a whole, it says little. A regression tells traits apart: what a user thinks of a style comes
from all entries of that style, whatever else they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

# Prior precision of the constant: how often a user clicks is left to other parts of the model, and a history that keeps
# so many entries of each label does not tell it.
CONSTANT_PRECISION = 0.05
# Of `p (1 - p)`, what an entry tells, where a fifth is clicked.
INFORMATION = 0.16
# Length of an item's row at the start: how far log-odds of items differ to one user.
SPREAD = 1.2
# Least divisor, for where nothing is left to improve. (Added to it instead, so small a number is left out of the graph:
# the exporter takes it for zero.)
TINY = 1e-20


class Taste(nn.Module):
    """Weights of a linear map of the item vector: the mean of their posterior, given the history's labels.

    With rows `x` of the history (mapped item vectors and a constant 1), residuals `r` (label less what the item's prior
    expects), `w` for what an entry tells and a prior precision of 1, the taste `t` solves `(w X'X + 1) t = X' r`: one
    Newton step, from zero, of a logistic regression. Conjugate gradients find it, a fixed number of plain
    products in an exported graph. The map trains through all of it.
    """

    def __init__(self, item_dim: int, dim: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.map = nn.Linear(item_dim, dim, bias=False)
        nn.init.orthogonal_(self.map.weight, gain=SPREAD * max(1.0, item_dim / dim) ** 0.5)
        self.information = nn.Parameter(torch.tensor(INFORMATION).expm1().log())
        precision = torch.ones(dim + 1)
        precision[-1] = CONSTANT_PRECISION
        self.register_buffer("precision", precision, persistent=False)
        self.precision: Tensor

    def item(self, vector: Tensor) -> Tensor:
        """Item vectors `[n, item_dim]` -> rows of the regression `[n, dim]`."""
        rows: Tensor = self.map(vector)
        return rows

    def user(self, rows: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
        """Rows of the history `[users, L, dim]`, residuals and mask `[users, L]` -> tastes `[users, dim]`; zeros where
        there is none."""
        known = torch.cat([rows, torch.ones_like(rows[..., :1])], dim=-1) * mask.unsqueeze(-1)
        information = functional.softplus(self.information)
        left = torch.matmul(residual.unsqueeze(1), known).squeeze(1)
        taste, step, size = torch.zeros_like(left), left, left.square().sum(-1, keepdim=True)
        for _ in range(self.steps):
            told = torch.matmul(known, step.unsqueeze(-1)) * information
            moved = torch.matmul(told.transpose(1, 2), known).squeeze(1) + self.precision * step
            length = size / (step * moved).sum(-1, keepdim=True).clamp(min=TINY)
            taste = taste + length * step
            left = left - length * moved
            before, size = size, left.square().sum(-1, keepdim=True)
            step = left + size / before.clamp(min=TINY) * step
        return taste[:, :-1]

    def cross(self, taste: Tensor, rows: Tensor) -> Tensor:
        """Log-odds of candidates, `[users, dim]` and `[users, candidates, dim]` -> `[users, candidates, 1]`."""
        return torch.matmul(rows, taste.unsqueeze(-1))
