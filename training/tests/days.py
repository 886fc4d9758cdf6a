"""The planted data set at two times, a bundle of the earlier one, and the run that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bundles import without_idrec_bundle
from planted import COLD, ITEMS, write_planted

QUICK = """
[text]
dim = 16
heads = 2
steps = 60
max_tokens = 12
vocabulary = 200
[image]
dim = 8
width = 12
height = 16
channels = 4
epochs = 2
[history]
clicks = 15
impressions = 15
[ppm]
epochs = 1
[unified]
epochs = 2
learning_rate = 5e-3
[batch]
rows = 96
"""


@dataclass(frozen=True)
class Days:
    old: Path
    new: Path
    first: Path

    @classmethod
    def at(cls, home: Path) -> Days:
        """Those that `write_days` wrote."""
        return cls(home / "old", home / "new", home / "first" / "bundle")


def write_days(home: Path) -> None:
    """The planted set; and the same without its last tenth, in which the cold items appear, with a bundle of it."""
    from plugrank_training.cli import main

    new = write_planted(home / "new")
    old = write_planted(home / "old")
    events = pq.read_table(new / "interactions.parquet")
    early = events["timestamp"].to_numpy() < np.quantile(events["timestamp"].to_numpy(), 0.9)
    pq.write_table(events.filter(early), old / "interactions.parquet")
    items = pq.read_table(new / "items.parquet")
    pq.write_table(items.slice(0, ITEMS - COLD), old / "items.parquet")
    config = home / "quick.toml"
    config.write_text(QUICK, encoding="utf-8")
    arguments = ["train", "--dataset", str(old), "--out", str(home / "first"), "--config", str(config)]
    with without_idrec_bundle():
        assert main(arguments) == 0
