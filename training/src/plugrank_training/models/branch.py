"""The interface of what plugs into a click model."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts


class Branch(nn.Module, ABC):
    """One part of a click model, cut where its results are cached.

    PPM is one, an IDRec host another; any module that can say what it knows of an item alone, of a user alone and of a
    pair can be a third. Names of outputs are unique over the branches of a model.
    """

    # Widths of `ItemParts.dense`, `UserParts.dense` and of what `cross` gives.
    item_dim: int
    user_dim: int
    cross_dim: int
    # Outputs of `item` that `user` reads of each history entry, and that `cross` reads of each candidate.
    history_outputs: tuple[str, ...]
    candidate_outputs: tuple[str, ...]

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


def interest(vectors: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
    """What a user likes more than others do: the residual-weighted mean of history vectors, shrunk towards 0.

    `vectors [users, L, d]`, `residual` and `mask [users, L]` -> `[users, d]`.
    """
    count = mask.sum(1, keepdim=True) + 5.0
    return (vectors * residual.unsqueeze(-1)).sum(1) / count * 4.0
