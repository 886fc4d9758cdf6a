"""What a model must have to be exported: its parts, cut where the serving side caches their results."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from plugrank_training.models.inputs import ItemInputs, Named
from plugrank_training.models.schema import LIST_TASK, MAIN_TASK


class CutModel(nn.Module, ABC):
    """A whole click model as three parts: of the item, of the user, of a pair of both."""

    # What it predicts, the main task first.
    tasks: tuple[str, ...] = (MAIN_TASK,)

    @property
    def labelled_tasks(self) -> tuple[str, ...]:
        """Further tasks whose labels the log has, as they stand behind the main one."""
        return tuple(task for task in self.tasks[1:] if task != LIST_TASK)

    @property
    def list_place(self) -> int:
        """Which of the tasks lists are ordered by: an output of their own, or else the main one."""
        return self.tasks.index(LIST_TASK) if LIST_TASK in self.tasks else 0

    @property
    @abstractmethod
    def cache_dtype(self) -> str:
        """What the serving side caches, as the manifest writes it: `f32` or `f16`."""

    @abstractmethod
    def to_cache(self, values: Named) -> tuple[Tensor, ...]:
        """What a graph gives out for the cache."""

    @abstractmethod
    def history_outputs(self) -> list[str]:
        """Item outputs that `encode_users` reads."""

    @abstractmethod
    def candidate_outputs(self) -> list[str]:
        """Item outputs that `score` reads."""

    @abstractmethod
    def encode_items(self, inputs: ItemInputs) -> Named:
        """Everything that depends on the item only, each `[n, d]`."""

    @abstractmethod
    def encode_users(
        self,
        items: Named,
        label: Tensor,
        age_bucket: Tensor,
        mask: Tensor,
        user_features: Named,
        frozen: Named | None = None,
    ) -> Named:
        """Everything that depends on the user only, `[users, d]` or `[users, L, d]`; `items` are outputs of
        `encode_items`, `[users, L, d]`, the other three `[users, L]`."""

    @abstractmethod
    def score(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """Logits `[users, candidates]` of the main task, of candidates (`encode_items` outputs, `[users, candidates,
        d]`).

        Beside the user states stand features of the request by names that begin with `REQUEST`, `[users(, length)]`,
        and beside the item outputs what is given for each candidate, `GIVEN`, `[users, candidates(, length)]`.
        """

    def score_tasks(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """The same for all tasks, `[users, candidates, tasks]`."""
        return self.score(state, candidate, recency_bucket).unsqueeze(-1)

    def score_lists(self, state: Named, candidate: Named, recency_bucket: Tensor) -> Tensor:
        """Logits `[users, candidates]` of the task that lists are ordered by."""
        return self.score_tasks(state, candidate, recency_bucket)[..., self.list_place]
