"""What a model reads."""

from __future__ import annotations

from dataclasses import dataclass

from plugrank_training.models.features import Feature


@dataclass(frozen=True)
class Schema:
    """What a model reads: features, modal parts (name, width), history limits."""

    item: tuple[Feature, ...]
    user: tuple[Feature, ...]
    parts: tuple[tuple[str, int], ...]
    clicks: int
    impressions: int

    @property
    def modal_dim(self) -> int:
        """Width of a modal vector."""
        return sum(width for _, width in self.parts)
