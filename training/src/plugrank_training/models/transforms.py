"""What happens to a number before a model reads it (docs/bundle-format.md, "Numbers")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("none", "log1p", "standard", "buckets")


@dataclass(frozen=True)
class Transform:
    """One of `KINDS` with its numbers; worked out in f64 from the f32 value and rounded once."""

    kind: str = "none"
    # Of `standard`.
    mean: float = 0.0
    deviation: float = 1.0
    # Of `buckets`, ascending.
    bounds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"transform `{self.kind}`: must be one of {', '.join(KINDS)}")
        if self.kind == "standard" and not self.deviation > 0:
            raise ValueError(f"transform `standard`: the deviation must be above 0, not {self.deviation}")
        rising = all(low < high for low, high in zip(self.bounds, self.bounds[1:], strict=False))
        if self.kind == "buckets" and not (self.bounds and rising):
            raise ValueError("transform `buckets`: needs boundaries, each above the one before")

    @classmethod
    def read(cls, entry: str | Mapping[str, Any]) -> Transform:
        """From a manifest."""
        if isinstance(entry, str):
            return cls(entry)
        if "standard" in entry:
            return cls("standard", entry["standard"]["mean"], entry["standard"]["std"])
        return cls("buckets", bounds=tuple(entry["buckets"]))

    def manifest(self) -> str | dict[str, Any]:
        """As a manifest has it."""
        if self.kind == "standard":
            return {"standard": {"mean": self.mean, "std": self.deviation}}
        return {"buckets": list(self.bounds)} if self.kind == "buckets" else self.kind

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """f64 values, NaN where missing -> f32, of the same shape; not of `buckets`."""
        exact = values.astype(np.float32).astype(np.float64)
        if self.kind == "log1p":
            exact = np.sign(exact) * np.log1p(np.abs(exact))
        elif self.kind == "standard":
            exact = (exact - self.mean) / self.deviation
        return exact.astype(np.float32)

    def bucket_ids(self, values: np.ndarray) -> np.ndarray:
        """Ids int64 of f64 values: 0 where missing, else 1 and one for each boundary that is not above the value."""
        exact = values.astype(np.float32).astype(np.float64)
        places = np.searchsorted(np.array(self.bounds), exact, side="right") + 1
        return np.where(np.isnan(exact), 0, places).astype(np.int64)
