"""`predictions/MODEL.parquet`: what every model says about every test impression, so that others can check it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples


@dataclass(frozen=True)
class Scored:
    """Calibrated click probabilities of test impressions, pooled over folds, one row of `by_seed` a seed."""

    test: Examples
    # f64 [seeds, n], and the seeds.
    by_seed: np.ndarray
    seeds: tuple[int, ...]
    # Probabilities of further tasks, f64 [seeds, n].
    further: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def mean(self) -> np.ndarray:
        """The mean over seeds, f64 `[n]`."""
        mean: np.ndarray = self.by_seed.mean(axis=0)
        return mean


def write_predictions(scored: Scored, dataset: Dataset, file: Path) -> None:
    """`user_id`, `item_id`, `timestamp`, `label`, `score` (the mean over seeds), `score_seed0`, `score_seed1`, ...

    Of each further task `TASK.label`, null where it is not known, and `TASK.score` with a column a seed as well. Where
    requests have features, `row` is the impression's row of the log.
    """
    test = scored.test
    users, items = np.array(dataset.user_ids), np.array(dataset.item_ids)
    columns = {
        "user_id": pa.array(users[test.user]),
        "item_id": pa.array(items[test.item]),
        "timestamp": pa.array(test.timestamp, pa.int64()),
        "label": pa.array(test.label, pa.int8()),
        "score": pa.array(scored.mean, pa.float64()),
    }
    for seed, scores in zip(scored.seeds, scored.by_seed, strict=True):
        columns[f"score_seed{seed}"] = pa.array(scores, pa.float64())
    for task, by_seed in scored.further.items():
        label = test.further[task]
        columns[f"{task}.label"] = pa.array(label, pa.int8(), mask=label < 0)
        columns[f"{task}.score"] = pa.array(by_seed.mean(axis=0), pa.float64())
        for seed, scores in zip(scored.seeds, by_seed, strict=True):
            columns[f"{task}.score_seed{seed}"] = pa.array(scores, pa.float64())
    if test.row is not None:
        columns["row"] = pa.array(test.row, pa.int64(), mask=test.row < 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
