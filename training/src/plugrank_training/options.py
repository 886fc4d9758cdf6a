"""What the command line of `train` chooses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

HOST_MODELS = ("lr", "deepfm", "dcnv2", "din")
NEURAL = (*HOST_MODELS, "idrec", "idrec-vectors", "ppm", "unified")
BAR_MODELS = ("popularity", "means", "cooccurrence", "content", "cooccurrence-content")
DEFAULT_MODELS = ("idrec", "unified")


@dataclass(frozen=True)
class Options:
    """One run, or (`Experiment`) several: a run has one fold and one seed."""

    dataset: Path
    out: Path
    # None takes what suits the data set.
    split: str | None
    salt: str
    # None with the split `items`: all folds, pooled.
    fold: int | None
    seed: int
    device: torch.device
    seeds: int = 1
    models: tuple[str, ...] = DEFAULT_MODELS
    # Where predictions are written; None: OUT/predictions.
    predictions: Path | None = None
    # Score a test part that was scored before with other weights.
    again: bool = False
    # Leave the test part alone: for choosing on validation.
    no_test: bool = False
    # Go on from where an interrupted run stopped within a stage.
    resume: bool = False


def parse_models(text: str) -> tuple[str, ...]:
    """`all`, or names with commas between them. Raises `ValueError` for one that is none."""
    known = (*BAR_MODELS, *NEURAL)
    if text == "all":
        return known
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise ValueError(f"--models: no model `{name}`; there are: {', '.join(known)}, or all")
    if not names:
        raise ValueError(f"--models: name at least one of {', '.join(known)}")
    return names
