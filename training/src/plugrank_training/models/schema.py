"""What a model reads."""

from __future__ import annotations

from dataclasses import dataclass

from plugrank_training.models.features import Feature

# The task that every data set has, whose label is the column `label`.
MAIN_TASK = "click"
# The task that lists are ordered by where they have an output of their own: how likely the item, of the whole catalog,
# is the next click of the user. It has no label of its own and is the last of a model's tasks.
LIST_TASK = "next_click"


@dataclass(frozen=True)
class Schema:
    """What a model reads: features, modal parts (name, width), history limits; and what it predicts."""

    item: tuple[Feature, ...]
    user: tuple[Feature, ...]
    parts: tuple[tuple[str, int], ...]
    clicks: int
    impressions: int
    # Of the whole request, and given for each candidate.
    request: tuple[Feature, ...] = ()
    candidate: tuple[Feature, ...] = ()
    # The main one first.
    tasks: tuple[str, ...] = (MAIN_TASK,)
    # Of features that are derived from the request's time.
    timezone: str = "UTC"
    # Of each entry of a history: `action`, a category, and `value`, a number.
    history: tuple[Feature, ...] = ()

    @property
    def modal_dim(self) -> int:
        """Width of a modal vector."""
        return sum(width for _, width in self.parts)
