"""The names that `--models` takes: networks and baselines."""

from __future__ import annotations

from plugrank_training.fit.baselines import BASELINES
from plugrank_training.models.registry import NETWORKS

MODEL_NAMES: tuple[str, ...] = (*BASELINES, *NETWORKS)


def parse_models(text: str) -> tuple[str, ...]:
    """`all`, or names with commas between them. Raises `ValueError` for one that is none."""
    if text == "all":
        return MODEL_NAMES
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in MODEL_NAMES:
            raise ValueError(f"--models: no model `{name}`; there are: {', '.join(MODEL_NAMES)}, or all")
    if not names:
        raise ValueError(f"--models: name at least one of {', '.join(MODEL_NAMES)}")
    return names
