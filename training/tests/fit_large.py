"""Run by `test_memory.py` as a process of its own: trains on a data set under a limit of memory.

Arguments: folder, megabytes, and `mapped` or `memory`. The limit is of private writable memory (RLIMIT_DATA), on
top of what Python, torch and a first small fit take; files that are mapped read-only do not count, as the system can
drop their pages at any moment.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch

from plugrank_training.config import Config, HistoryConfig, PpmConfig, UnifiedConfig
from plugrank_training.data.catalog import item_features, make_catalog, user_features
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.mapped import read_mapped
from plugrank_training.data.splits import make_split
from plugrank_training.fit.batches import BLOCK_ROWS, Batcher, Dropping
from plugrank_training.fit.pretrain import newest
from plugrank_training.fit.train import FitOptions, fit
from plugrank_training.models.build import make_pretrained
from plugrank_training.models.schema import Schema

CONFIG = Config(
    history=HistoryConfig(clicks=3, impressions=3),
    ppm=PpmConfig(dim=8, key_dim=4, value_dim=4),
    unified=UnifiedConfig(hidden=8, hidden2=4),
)
CPU = torch.device("cpu")


def train(data: Path, mapped: bool, small: bool) -> tuple[int, list[float]]:
    """Rows of one pass over the newest quarter, and the validation losses."""
    arrays = data / "arrays"
    dataset = Dataset.load(data, arrays / "interactions" if mapped else None)
    split = make_split(dataset, "global")
    history = HistoryIndex(dataset, 3, 3, arrays=arrays / "histories" if mapped else None)
    vectors = read_mapped(data / "vectors.npy") if mapped else np.load(data / "vectors.npy")
    items, users = (make(dataset, split.train, CONFIG) for make in (item_features, user_features))
    schema = Schema(items, users, (("text", vectors.shape[1]),), 3, 3)
    catalog = make_catalog(dataset, schema, [vectors], torch.ones(len(vectors), 1))
    block = 1 << 16 if mapped else BLOCK_ROWS
    part = split.train.take(slice(0, 3000)) if small else newest(split.train, 0.25)
    batchers = Batcher(part, history, 8, 600, CPU, block), Batcher(split.valid, history, 8, 600, CPU, block)
    options = FitOptions("fit", 1, 1, 9, 4e-3, 1e-3, 4e-3, 0.1, Dropping(0.1, 0.1, 0.5), seed=7)
    result = fit(make_pretrained(schema, CONFIG, 0), catalog, *batchers, options)
    return result.rows, result.valid_loss


def memory() -> int:
    """Private memory that can be written, bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmData"))) * 1024


def main(data: Path, megabytes: int, kind: str) -> None:
    torch.set_num_threads(1)
    train(data / "small", mapped=True, small=True)
    limit = memory() + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    rows, losses = train(data, kind == "mapped", small=False)
    print(json.dumps({"rows": rows, "losses": losses}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
