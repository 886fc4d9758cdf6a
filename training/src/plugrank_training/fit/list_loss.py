"""What lists are trained by: clicks against drawn items, and item vectors against one another."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from plugrank_training.distributed import total, world

# Added to the logit of what must not be trained against.
BLOCKED = -1e4
# As the retrieval service weighs the clicks whose vectors make the mean, and how many it reads.
HALF_LIFE_CLICKS, MEAN_CLICKS = 8.0, 50


def list_losses(
    candidates: Tensor, drawn: Tensor, log_chance_candidates: Tensor, log_chance: Tensor, blocked: Tensor
) -> Tensor:
    """Loss of each candidate, were it the one clicked: `-ln` of its share in a softmax over itself and the drawn items.

    Each logit is less the logarithm of its chance to be drawn; what minimises the loss is then `ln P(click on item)`
    over the whole catalog, whatever items are drawn by and however few (van den Oord et al., arXiv 1807.03748, eq. 5;
    Yi et al., RecSys 2019, eq. 4). The clicked item may be among the drawn ones; it is not taken out.
    `candidates`, `log_chance_candidates` `[G, C]`; `drawn`, `log_chance`, `blocked` `[G, N]` -> `[G, C]`.
    """
    against = torch.where(blocked, torch.full_like(drawn, BLOCKED), drawn - log_chance)
    return functional.softplus(torch.logsumexp(against, dim=1, keepdim=True) - (candidates - log_chance_candidates))


def list_loss(losses: Tensor, clicked: Tensor) -> Tensor:
    """Mean of `list_losses` over the clicked candidates (1 in `clicked [G, C]`) of all processes together."""
    return (losses * clicked).sum() * world() / total(clicked.sum()).clamp(min=1.0)


def retrieval_query(vectors: Tensor, clicked: Tensor) -> Tensor:
    """What nearest neighbours are searched by: the recency-weighted mean of clicked entries, of length 1.

    `vectors [G, L, d]`, newest first; `clicked [G, L]` is 1 for clicked entries -> `[G, d]`, zeros without a click.
    """
    place = clicked.cumsum(1) - 1.0
    weight = clicked * torch.exp2(-place / HALF_LIFE_CLICKS) * (place < MEAN_CLICKS)
    return functional.normalize(torch.matmul(weight.unsqueeze(1), vectors).squeeze(1), dim=-1, eps=1e-6)


def retrieval_loss(
    query: Tensor, target: Tensor, item: Tensor, user: Tensor, log_popularity: Tensor, temperature: float
) -> Tensor:
    """Mean in-batch softmax of clicks: each click's query against all clicked items of the batch.

    Logits are cosines over the temperature, less the log of how often the item stands in a batch as a click (Yi et al.,
    RecSys 2019, eq. 4). Other clicks of the same user, and on the same item, are no negatives. `query`, `target`
    `[clicks, d]` (unit rows), `item`, `user` int64 `[clicks]`, `log_popularity` `[clicks]`; 0 without two clicks.
    """
    if len(item) < 2:
        return query.sum() * 0.0
    logit = query @ target.T / temperature - log_popularity.unsqueeze(0)
    same = (item.unsqueeze(1) == item.unsqueeze(0)) | (user.unsqueeze(1) == user.unsqueeze(0))
    own = torch.eye(len(item), dtype=torch.bool, device=item.device)
    logit = logit.masked_fill(same & ~own, BLOCKED)
    loss: Tensor = (torch.logsumexp(logit, dim=1) - logit.diagonal()).sum()
    return loss * world() / total(torch.tensor(float(len(item)), device=loss.device))
