"""The in-user ranking loss: a user's clicked impressions above the same user's refused ones.

Log loss spends much of what it learns on how often a user clicks, which moves no impression past another of that user.
Beside it the pairwise loss is what GAUC measures (the combination: arXiv 2208.06164; Lin et al., Understanding the
Ranking Loss for Recommendation with Sparse User Feedback, KDD 2024).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from plugrank_training.distributed import total, world


def ranking_loss(logit: Tensor, label: Tensor, user: Tensor) -> Tensor:
    """Mean over users, weighted by rows, of a user's mean `ln(1 + exp(refused - clicked))` over pairs; 0 without pairs.

    `logit`, `label`, `user` `[rows]`, of the batches of all processes together; all rows of a user that are to be
    compared are with one process. Users of one class are left out, as in GAUC.
    """
    _, place = torch.unique(user, return_inverse=True)
    users = int(place.max()) + 1 if len(place) else 0
    clicks = logit.new_zeros(users).index_add_(0, place, label.to(logit.dtype))
    shown = logit.new_zeros(users).index_add_(0, place, torch.ones_like(logit))
    pairs = clicks * (shown - clicks)
    rows = total(shown[pairs > 0].sum())
    clicked, refused = label > 0.5, label <= 0.5
    weight = (shown / pairs.clamp(min=1.0))[place[clicked]]
    same = place[clicked].unsqueeze(1) == place[refused].unsqueeze(0)
    apart = functional.softplus(logit[refused].unsqueeze(0) - logit[clicked].unsqueeze(1))
    summed = (apart * same * weight.unsqueeze(1)).sum()
    return summed * world() / rows.clamp(min=1.0)


def ranking_log_loss(user: np.ndarray, label: np.ndarray, logit: np.ndarray) -> float:
    """The same of a whole part, `[n]` each; 0 where no user has both classes."""
    order = np.argsort(user, kind="stable")
    starts = np.flatnonzero(np.diff(user[order], prepend=-1))
    summed = rows = 0.0
    for piece in np.split(order, starts[1:]):
        clicked, refused = logit[piece[label[piece] == 1]], logit[piece[label[piece] == 0]]
        if len(clicked) and len(refused):
            summed += len(piece) * float(np.logaddexp(0.0, refused[None, :] - clicked[:, None]).mean())
            rows += len(piece)
    return summed / rows if rows else 0.0
