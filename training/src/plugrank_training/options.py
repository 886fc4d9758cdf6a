"""What the command line of `train` chooses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

DEFAULT_MODELS = ("idrec", "unified")


@dataclass(frozen=True)
class Options:
    """One run, or (`run_experiment`) several: a run has one fold and one seed."""

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
    # Who read which test part, for several output folders together; None: OUT/test_reads.json.
    ledger: Path | None = None
    # Score a test part that was scored before with other weights.
    again: bool = False
    # Leave the test part alone: for choosing on validation.
    no_test: bool = False
    # Measure only: no bundle is judged or written.
    no_bundle: bool = False
    # Call a bundle better whose lists are worse.
    accept_worse_lists: bool = False
    # Columns that a model reads and the data may lack.
    allow_absent: tuple[str, ...] = ()
    # Go on from where an interrupted run stopped within a stage.
    resume: bool = False
    # How it was asked for, for the reports; empty where it was not by the command line.
    command: str = ""
