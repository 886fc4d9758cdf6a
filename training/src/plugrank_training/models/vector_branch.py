"""Branches that read a history by one learned vector an item."""

from __future__ import annotations

from torch import Tensor

from plugrank_training.models.branch import Branch, interest
from plugrank_training.models.inputs import History, Named, UserParts
from plugrank_training.models.pooled_history import pooled_history


class VectorBranch(Branch):
    """What a history's vectors tell: the user's interest, which multiplies the candidate's vector, and pooled clicks
    and refusals.

    `item` of a subclass gives `{vector}_vector`, `[n, dim]`.
    """

    # Of the names of its outputs.
    vector: str

    def set_widths(self, dim: int) -> None:
        """Widths of what it gives, for vectors of `dim` numbers."""
        self.item_dim, self.user_dim, self.cross_dim = dim, 2 * dim, dim

    def user(self, history: History) -> UserParts:
        """Interest and pooled history, see `Branch.user`."""
        vectors = history.items[f"{self.vector}_vector"]
        likes = interest(vectors, history.residual, history.mask)
        pooled = pooled_history(vectors, history.label, history.mask)
        return UserParts({f"{self.vector}_interest": likes}, pooled)

    def cross(self, state: Named, candidate: Named) -> Tensor:
        """The product of interest and candidate, see `Branch.cross`."""
        return candidate[f"{self.vector}_vector"] * state[f"{self.vector}_interest"].unsqueeze(1) * 4.0
