"""The interface of what plugs into a click model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts


@dataclass(frozen=True)
class Group:
    """Modules that are trained, frozen and cached together; a row of the table that is printed before training."""

    name: str
    modules: tuple[nn.Module, ...]
    # What the serving side keeps of their results.
    cached: str
    # Parameters beside those of the modules.
    loose: tuple[nn.Parameter, ...] = ()

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Their parameters."""
        return [*self.loose, *(parameter for module in self.modules for parameter in module.parameters())]

    @property
    def frozen(self) -> bool:
        """Whether none of them trains."""
        return not any(parameter.requires_grad for parameter in self.parameters)


class Branch(nn.Module, ABC):
    """One part of a click model, cut where its results are cached.

    PPM is one, an IDRec host another; any module that can say what it knows of an item alone, of a user alone and of a
    pair can be a third. Names of outputs are unique over the branches of a model. A model that cannot be cut so is
    hosted by row instead, see `row_host.py`.
    """

    # Widths of `ItemParts.dense`, `UserParts.dense` and of what `cross` gives (0: nothing).
    item_dim: int
    user_dim: int
    cross_dim: int
    # Outputs of `item` that `user` reads of each history entry, and that `cross` reads of each candidate.
    history_outputs: tuple[str, ...]
    candidate_outputs: tuple[str, ...]
    # Whether its priors and biases are all it has to say: a model of such branches alone gets no hidden layers.
    linear = False
    # Whether `item` reads modal vectors.
    reads_vectors = False
    # Places in what `cross` gives that are log-odds: a click model starts from their sum.
    log_odds: tuple[int, ...] = ()

    @abstractmethod
    def item(self, inputs: ItemInputs) -> ItemParts:
        """Everything that depends on the item only."""

    @abstractmethod
    def user(self, history: History) -> UserParts:
        """Everything that depends on the user only."""

    @abstractmethod
    def cross(self, state: Named, candidate: Named) -> Tensor:
        """What depends on both: state `[users, ...]`, candidates `[users, candidates, d]` ->
        `[users, candidates, cross_dim]`."""

    def stored_groups(self) -> tuple[str, ...]:
        """Groups whose outputs `frozen_item` and `frozen_history` give, as none of them trains."""
        return ()

    def frozen_item(self, inputs: ItemInputs) -> Named:  # noqa: ARG002 - for those that override it
        """Outputs of `item`'s layers that do not train, f32 `[n, d]`, which `item` then reads from `inputs.frozen`.

        They may not depend on the item's id.
        """
        return {}

    def frozen_history(self, history: History) -> Named:  # noqa: ARG002 - for those that override it
        """The same of `user`'s layers, f32 `[users, L, d]`; they may read no residual, nor items of other branches."""
        return {}

    def groups(self) -> list[Group]:
        """Its parameters by groups, every one once; one group where a branch does not say otherwise."""
        return [Group("host", (self,), "inside item and user parts")]


def interest(vectors: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
    """What a user likes more than others do: the residual-weighted mean of history vectors, shrunk towards 0.

    `vectors [users, L, d]`, `residual` and `mask [users, L]` -> `[users, d]`.
    """
    count = mask.sum(1, keepdim=True) + 5.0
    return torch.matmul(residual.unsqueeze(1), vectors).squeeze(1) / count * 4.0
