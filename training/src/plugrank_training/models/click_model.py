"""A click model of branches: UniM (PPM and DIN), IDRec (DIN alone), PPM pre-training (PPM alone)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from plugrank_training.config import HistoryConfig, UnifiedConfig
from plugrank_training.models.branch import Branch
from plugrank_training.models.habits import Habits
from plugrank_training.models.inputs import History, ItemInputs, Named
from plugrank_training.models.ppm import AGE_BUCKETS
from plugrank_training.models.rounding import through_f16


class ClickModel(nn.Module):
    """Branches under one head whose first dense layer is split into an item part, a user part and a cross part.

    `rounds`: the serving side caches outputs of `encode_items` and `encode_users` in f16; in evaluation they are
    rounded through f16 here too, so that scores are close to those there.
    """

    def __init__(
        self, branches: Mapping[str, Branch], config: UnifiedConfig, history: HistoryConfig, rounds: bool
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)
        self.rounds = rounds
        parts = list(branches.values())
        hidden = config.hidden
        self.habits = Habits(history.clicks + history.impressions)
        self.from_item = nn.Linear(sum(part.item_dim for part in parts), hidden)
        self.from_user = nn.Linear(sum(part.user_dim for part in parts) + Habits.dim, hidden, bias=False)
        cross = sum(part.cross_dim for part in parts)
        self.from_cross = nn.Linear(cross, hidden, bias=False)
        self.from_recency = nn.Embedding(AGE_BUCKETS, hidden)
        nn.init.normal_(self.from_recency.weight, std=0.02)
        self.wide_user = nn.Linear(Habits.dim, 1, bias=False)
        self.wide_cross = nn.Linear(cross, 1, bias=False)
        nn.init.zeros_(self.wide_cross.weight)
        self.base = nn.Parameter(torch.zeros(1))
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, config.hidden2),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden2, 1),
        )

    def parts(self) -> list[Branch]:
        """The branches in their order."""
        return [part for part in self.branches.values() if isinstance(part, Branch)]

    @torch.no_grad()
    def start_from(self, other: ClickModel) -> None:
        """Take over the branches of `other`, this model's first ones, and its head: scores start out close to its own.

        With a fresh head over a trained branch the other branches learn late, as its large outputs drown theirs.
        """
        for name, part in other.branches.items():
            self.branches[name].load_state_dict(part.state_dict())
        for mine, theirs in (
            (self.from_item, other.from_item),
            (self.from_cross, other.from_cross),
            (self.wide_cross, other.wide_cross),
        ):
            width = theirs.weight.shape[1]
            mine.weight[:, :width] = theirs.weight
            # Further branches speak softly at first.
            mine.weight[:, width:] *= 0.3
        for same in ("from_recency", "wide_user", "head"):
            getattr(self, same).load_state_dict(getattr(other, same).state_dict())
        self.from_item.bias.copy_(other.from_item.bias)
        self.base.copy_(other.base)
        user = other.from_user.weight.shape[1] - Habits.dim
        self.from_user.weight *= 0.3
        self.from_user.weight[:, :user] = other.from_user.weight[:, :user]
        self.from_user.weight[:, -Habits.dim :] = other.from_user.weight[:, user:]

    def history_outputs(self) -> list[str]:
        """Item outputs that `encode_users` reads."""
        return [*(name for part in self.parts() for name in part.history_outputs), "prior"]

    def candidate_outputs(self) -> list[str]:
        """Item outputs that `score` reads."""
        return [*(name for part in self.parts() for name in part.candidate_outputs), "dense_item", "prior"]

    def cached(self, values: Named) -> Named:
        """Numbers as a cache gives them back."""
        if self.training or not self.rounds:
            return values
        return {name: through_f16(value) for name, value in values.items()}

    @property
    def cache_dtype(self) -> str:
        """What the serving side caches, as the manifest writes it."""
        return "f16" if self.rounds else "f32"

    def to_cache(self, values: Named) -> tuple[Tensor, ...]:
        """What a graph gives out for the cache."""
        return tuple(value.half() if self.rounds else value for value in values.values())

    def encode_items(self, inputs: ItemInputs) -> Named:
        """Everything that depends on the item only, each `[n, d]`."""
        made = [part.item(inputs) for part in self.parts()]
        outputs = {name: value for part in made for name, value in part.outputs.items()}
        outputs["dense_item"] = self.from_item(torch.cat([part.dense for part in made], dim=-1))
        outputs["prior"] = torch.stack([part.prior for part in made]).sum(0) + self.base
        return self.cached(outputs)

    def encode_users(
        self, items: Named, label: Tensor, age_bucket: Tensor, mask: Tensor, user_features: Named
    ) -> Named:
        """Everything that depends on the user only; `items` are outputs of `encode_items`, `[users, L, d]`."""
        expected = items["prior"].squeeze(-1).sigmoid()
        residual = (label.to(mask.dtype) - expected) * mask
        history = History(items, label, age_bucket, mask, user_features, residual)
        made = [part.user(history) for part in self.parts()]
        state = {name: value for part in made for name, value in part.state.items()}
        habits = self.habits(label, residual, mask)
        state["dense_user"] = self.from_user(torch.cat([*(part.dense for part in made), habits], dim=-1))
        state["bias_user"] = self.wide_user(habits)
        return self.cached(state)

    def score(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """Logits `[users, candidates]` of candidates (`encode_items` outputs, `[users, candidates, d]`)."""
        cross = torch.cat([part.cross(state, candidate) for part in self.parts()], dim=-1)
        user = state["dense_user"] + self.from_recency(recency_bucket)
        hidden = self.from_cross(cross) + candidate["dense_item"] + user.unsqueeze(1)
        deep = self.head(hidden) + self.wide_cross(cross) + candidate["prior"]
        logit: Tensor = deep.squeeze(-1) + state["bias_user"]
        return logit
