"""A click model of branches: UniM (PPM and a host), IDRec (the host alone), PPM pre-training (PPM alone)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugrank_training.config import HistoryConfig, UnifiedConfig
from plugrank_training.models.branch import Branch
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.gate import PastGate
from plugrank_training.models.habits import Habits, UserLevel
from plugrank_training.models.inputs import History, ItemInputs, Named
from plugrank_training.models.ppm import AGE_BUCKETS
from plugrank_training.models.recent_clicks import RecentPopularity
from plugrank_training.models.request_context import RequestContext
from plugrank_training.models.rounding import through_f16
from plugrank_training.models.schema import MAIN_TASK, Schema


@dataclass(frozen=True)
class FirstLayer:
    """What tasks read of pairs `[users, candidates]`."""

    # Log-odds of item, user and request, [users, candidates]; with what branches tell of pairs, and without it.
    logit: Tensor
    prior: Tensor
    # What branches tell of pairs, [users, candidates, d].
    told: Tensor
    # Of a deep model the first layer before its ReLU, [users, candidates, hidden].
    hidden: Tensor | None


class ClickModel(CutModel):
    """Branches under one head whose first dense layer is split into an item part, a user part and a cross part.

    Where all branches are linear there are no dense layers: the logit is the sum of what they say.

    `rounds`: the serving side caches outputs of `encode_items` and `encode_users` in f16; in evaluation they are
    rounded through f16 here too, so that scores are close to those there.
    """

    def __init__(
        self,
        branches: Mapping[str, Branch],
        config: UnifiedConfig,
        history: HistoryConfig,
        rounds: bool,
        schema: Schema | None = None,
    ) -> None:
        super().__init__()
        request, given = (schema.request, schema.candidate) if schema else ((), ())
        self.tasks = schema.tasks if schema else (MAIN_TASK,)
        self.branches = nn.ModuleDict(branches)
        self.rounds = rounds
        parts = list(branches.values())
        self.deep = not all(part.linear for part in parts)
        cross = sum(part.cross_dim for part in parts)
        # What each branch says of a pair and of a user is scaled by how much past there is.
        self.gate = PastGate(len(parts)) if config.gate else None
        self.habits = Habits(history.clicks + history.impressions)
        self.wide_user = nn.Linear(Habits.dim, 1, bias=False)
        self.level = UserLevel() if config.user_level else None
        self.wide_cross = nn.Linear(cross, 1, bias=False) if cross else None
        # Of lists with an output of their own: what makes an item the next click of all need not make a shown one
        # clicked.
        self.wide_lists = nn.Linear(cross, 1, bias=False) if cross and self.list_place else None
        self.base = nn.Parameter(torch.zeros(1))
        # A linear model reads recency as one weight a bucket, a deep one as a vector.
        hidden = config.hidden if self.deep else 1
        self.context = RequestContext(request, given, config.hidden if self.deep else 0) if request or given else None
        # Of each further task: what the common log-odds are worth, what is added, and a head of its own.
        further = len(self.tasks) - 1
        self.task_scale = nn.Parameter(torch.ones(further)) if further else None
        self.task_base = nn.Parameter(torch.zeros(further)) if further else None
        self.from_recency = nn.Embedding(AGE_BUCKETS, hidden)
        nn.init.normal_(self.from_recency.weight, std=0.02)
        for wide in (self.wide_cross, self.wide_lists):
            if wide is not None:
                self.start_wide(wide.weight)
        if not self.deep:
            return
        if not cross:
            raise ValueError("a deep click model needs a branch with `cross_dim` above 0")
        self.from_item = nn.Linear(sum(part.item_dim for part in parts), hidden)
        self.from_user = nn.Linear(sum(part.user_dim for part in parts) + Habits.dim, hidden, bias=False)
        self.from_cross = nn.Linear(cross, hidden, bias=False)
        self.head = make_head(config, hidden)
        self.task_heads = nn.ModuleList(make_head(config, hidden) for _ in self.tasks[1:])

    @torch.no_grad()
    def start_wide(self, weight: Tensor) -> None:
        """1 for what branches say are log-odds, 0 for all else; `[1, sum of cross_dim]`."""
        weight.zero_()
        start = 0
        for part in self.parts():
            for place in part.log_odds:
                weight[:, start + place] = 1.0
            start += part.cross_dim

    def head_modules(self) -> tuple[nn.Module, ...]:
        """Every module that belongs to no branch; those of further tasks too."""
        return tuple(module for name, module in self.named_children() if name != "branches")

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
            (self.wide_lists, other.wide_lists),
        ):
            if mine is None or theirs is None:
                continue
            width = theirs.weight.shape[1]
            mine.weight[:, :width] = theirs.weight
            # Further branches speak softly at first.
            mine.weight[:, width:] *= 0.3
        for same in ("from_recency", "wide_user", "head", "task_heads", *(["context"] if self.context else [])):
            getattr(self, same).load_state_dict(getattr(other, same).state_dict())
        for own, learned in ((self.task_scale, other.task_scale), (self.task_base, other.task_base)):
            if own is not None and learned is not None:
                own.copy_(learned)
        if self.gate is not None and other.gate is not None:
            self.gate.start_from(other.gate)
        if self.level is not None and other.level is not None:
            self.level.load_state_dict(other.level.state_dict())
        self.from_item.bias.copy_(other.from_item.bias)
        self.base.copy_(other.base)
        user = other.from_user.weight.shape[1] - Habits.dim
        self.from_user.weight *= 0.3
        self.from_user.weight[:, :user] = other.from_user.weight[:, :user]
        self.from_user.weight[:, -Habits.dim :] = other.from_user.weight[:, user:]

    @torch.no_grad()
    def trust_match(self) -> None:
        """Start from the first branch's last cross output, PPM's next-click score, as the log-odds; the deep part
        begins silent. Where lists have an output of their own it is theirs that does so."""
        wide = self.wide_of_lists()
        if wide is not None:
            wide.weight.zero_()
            wide.weight[:, self.parts()[0].cross_dim - 1] = 1.0
        last = self.heads()[self.list_place][-1]
        if isinstance(last, nn.Linear):
            nn.init.zeros_(last.weight)

    @torch.no_grad()
    def trust_recent(self) -> None:
        """Start from the share of recent clicks, of the last half-life that is given, as log-odds; of lists alone where
        they have an output of their own."""
        start, wide = 0, self.wide_of_lists()
        for part in self.parts():
            if isinstance(part, RecentPopularity) and wide is not None and part.half_lives:
                wide.weight[:, start + part.cross_dim - 1] = 1.0
                if self.list_place:
                    # A click rate says how good an item is once it is shown.
                    wide.weight[:, start : start + part.rates] = 0.0
            start += part.cross_dim

    def wide_of_lists(self) -> nn.Linear | None:
        """What weighs pairs in the log-odds that lists are ordered by; None where no branch tells of pairs."""
        return self.wide_lists if self.list_place else self.wide_cross

    def heads(self) -> list[nn.Sequential]:
        """Of a deep model, one a task."""
        return [self.head, *(head for head in self.task_heads if isinstance(head, nn.Sequential))]

    def history_outputs(self) -> list[str]:
        """Item outputs that `encode_users` reads."""
        return [*(name for part in self.parts() for name in part.history_outputs), "prior"]

    def candidate_outputs(self) -> list[str]:
        """Item outputs that `score` reads."""
        named = [name for part in self.parts() for name in part.candidate_outputs]
        return [*named, "dense_item", "prior"] if self.deep else [*named, "prior"]

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
        if self.deep:
            outputs["dense_item"] = self.from_item(torch.cat([part.dense for part in made], dim=-1))
        outputs["prior"] = torch.stack([part.prior for part in made]).sum(0) + self.base
        return self.cached(outputs)

    def encode_users(
        self,
        items: Named,
        label: Tensor,
        age_bucket: Tensor,
        mask: Tensor,
        user_features: Named,
        frozen: Named | None = None,
    ) -> Named:
        """Everything that depends on the user only; `items` are outputs of `encode_items`, `[users, L, d]`."""
        expected = items["prior"].squeeze(-1).sigmoid()
        residual = (label.to(mask.dtype) - expected) * mask
        history = History(items, label, age_bucket, mask, user_features, residual, frozen or {})
        made = [part.user(history) for part in self.parts()]
        state = {name: value for part in made for name, value in part.state.items()}
        habits = self.habits(label, residual, mask)
        dense = [part.dense for part in made]
        if self.gate is not None:
            state["past_gate"] = self.gate(label, mask)
            dense = [rows * state["past_gate"][:, place : place + 1] for place, rows in enumerate(dense)]
        if self.deep:
            state["dense_user"] = self.from_user(torch.cat([*dense, habits], dim=-1))
        bias = self.wide_user(habits)
        if self.level is not None:
            bias = bias + self.level(label, expected, mask)
        state["bias_user"] = sum((part.bias for part in made if part.bias is not None), bias)
        return self.cached(state)

    def score(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """See `CutModel.score`."""
        return self.logit(self.first_layer(state, candidate, recency_bucket), 0)

    def score_tasks(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """See `CutModel.score_tasks`: the first layer is common to all tasks."""
        first = self.first_layer(state, candidate, recency_bucket)
        return torch.stack([self.logit(first, place) for place in range(len(self.tasks))], dim=-1)

    def score_lists(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """See `CutModel.score_lists`."""
        return self.logit(self.first_layer(state, candidate, recency_bucket), self.list_place)

    def logit(self, first: FirstLayer, task: int) -> Tensor:
        """Logits of one task, by its place."""
        logit = first.logit
        if self.wide_lists is not None and task == self.list_place:
            logit = first.prior + self.wide_lists(first.told).squeeze(-1)
        if task and self.task_scale is not None and self.task_base is not None:
            logit = logit * self.task_scale[task - 1] + self.task_base[task - 1]
        if first.hidden is None:
            return logit
        deep: Tensor = self.heads()[task](first.hidden).squeeze(-1)
        return deep + logit

    def gated(self, told: Tensor, state: Named, branch: int) -> Tensor:
        """What a branch, by its place, tells of pairs `[users, candidates, d]`, scaled by its gate if it has one."""
        return told if self.gate is None else told * state["past_gate"][:, branch].view(-1, 1, 1)

    def first_layer(self, state: Named, candidate: Named, recency_bucket: Tensor) -> FirstLayer:
        """What all tasks have in common."""
        told = [
            self.gated(part.cross(state, candidate), state, place)
            for place, part in enumerate(self.parts())
            if part.cross_dim
        ]
        cross = torch.cat(told, dim=-1) if told else None
        recency = self.from_recency(recency_bucket)
        prior = candidate["prior"].squeeze(-1) + state["bias_user"]
        logit = prior
        if self.wide_cross is not None:
            logit = logit + self.wide_cross(cross).squeeze(-1)
        if self.context is not None:
            given = self.context.bias(state, candidate)
            logit, prior = logit + given, prior + given
        if cross is None:
            cross = prior.new_zeros(*prior.shape, 0)
        if not self.deep:
            return FirstLayer(logit + recency, prior + recency, cross, None)
        hidden = self.from_cross(cross) + candidate["dense_item"]
        hidden = hidden + (state["dense_user"] + recency).unsqueeze(1)
        hidden = hidden if self.context is None else self.context.layer(hidden, state, candidate)
        return FirstLayer(logit, prior, cross, hidden)


def make_head(config: UnifiedConfig, hidden: int) -> nn.Sequential:
    """What makes a logit of the first dense layer."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(hidden, config.hidden2),
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden2, 1),
    )
