"""One branch as a whole model: a network that was trained elsewhere, without a head of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from plugrank_training.models.branch import Branch
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.inputs import History, ItemInputs, Named
from plugrank_training.models.own_features import OwnIds
from plugrank_training.models.row_host import RowHost
from plugrank_training.models.schema import MAIN_TASK

# The item output that retrieval reads.
ITEM_VECTOR = "item_vector"
# Ids of `n` items by feature -> f32 `[n, d]`.
ItemVector = Callable[[Named], Tensor]


class BranchModel(CutModel):
    """The logit is the item's prior, the user's bias and the sum of what the branch says of the pair.

    `item_vector` gives what retrieval goes by: the name of an output of the branch, a function of the item's ids, or
    None.
    Names and ids of features are translated into the network's own. Of a hosted model with several tasks each output
    is the logit of one.
    """

    def __init__(
        self, branch: Branch, item_vector: str | ItemVector | None, ids: OwnIds, tasks: tuple[str, ...] = (MAIN_TASK,)
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.branch = branch
        self.item_vector = item_vector
        self.ids = ids
        # A hosted model says everything of pairs.
        self.has_prior = not isinstance(branch, RowHost)

    @property
    def vector_output(self) -> str | None:
        """The item output that retrieval reads; None where it reads none."""
        return ITEM_VECTOR if callable(self.item_vector) else self.item_vector

    @property
    def cache_dtype(self) -> str:
        """See `CutModel.cache_dtype`: nothing is rounded that the network was not trained with."""
        return "f32"

    def to_cache(self, values: Named) -> tuple[Tensor, ...]:
        """See `CutModel.to_cache`."""
        return tuple(values.values())

    def history_outputs(self) -> list[str]:
        """See `CutModel.history_outputs`."""
        return [*self.branch.history_outputs, *(["prior"] if self.has_prior else [])]

    def candidate_outputs(self) -> list[str]:
        """See `CutModel.candidate_outputs`."""
        return [*self.branch.candidate_outputs, *(["prior"] if self.has_prior else [])]

    def encode_items(self, inputs: ItemInputs) -> Named:
        """See `CutModel.encode_items`."""
        features = self.ids.of_items(inputs.features)
        parts = self.branch.item(replace(inputs, features=features))
        outputs = dict(parts.outputs)
        if self.has_prior:
            outputs["prior"] = parts.prior
        if callable(self.item_vector):
            outputs[ITEM_VECTOR] = self.item_vector(features)
        return outputs

    def encode_users(
        self,
        items: Named,
        label: Tensor,
        age_bucket: Tensor,
        mask: Tensor,
        user_features: Named,
        frozen: Named | None = None,
    ) -> Named:
        """See `CutModel.encode_users`."""
        expected = items["prior"].squeeze(-1).sigmoid() if self.has_prior else torch.zeros_like(mask)
        residual = (label.to(mask.dtype) - expected) * mask
        features = self.ids.of_users(user_features) | self.ids.of_past(user_features)
        parts = self.branch.user(History(items, label, age_bucket, mask, features, residual, frozen or {}))
        state = dict(parts.state)
        if parts.bias is not None:
            state["bias_user"] = parts.bias
        return state

    def score(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """See `CutModel.score`."""
        return self.score_tasks(state, candidate, recency_bucket)[..., 0]

    def score_tasks(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:  # noqa: ARG002 - not read
        """See `CutModel.score_tasks`."""
        told = self.branch.cross(*self.ids.of_context(state, candidate))
        if len(self.tasks) > 1:
            return told
        logit = told.sum(-1, keepdim=True)
        if self.has_prior:
            logit = logit + candidate["prior"]
        return logit + state["bias_user"].unsqueeze(-1) if "bias_user" in state else logit
