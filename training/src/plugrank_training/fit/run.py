"""A training run, opened: its data set, split and seed, and where its stages keep what they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugrank_training.config import Config
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.loaded import Loaded
from plugrank_training.data.log_context import request_keys
from plugrank_training.data.recent_clicks import RecentClicks
from plugrank_training.data.splits import Split, default_split, make_split
from plugrank_training.evaluate.test_ledger import TestLedger
from plugrank_training.fit.batches import Batcher
from plugrank_training.fit.checkpoint import Checkpoint
from plugrank_training.fit.frozen_cache import FrozenCache
from plugrank_training.fit.list_negatives import ListNegatives
from plugrank_training.options import Options
from plugrank_training.stage_cache import StageCache, fingerprint


@dataclass(frozen=True)
class Run:
    """One data set, split, fold and seed: what every stage reads. No stage changes it."""

    options: Options
    config: Config
    dataset: Dataset
    # Fingerprints of the data set, and of data set, split, salt and fold.
    data_key: str
    split_key: str
    split: Split
    history: HistoryIndex
    # None where no model reads it.
    recent: RecentClicks | None
    cache: StageCache
    frozen: FrozenCache
    ledger: TestLedger
    # What tells requests of one user and time apart; None where the log tells nothing of requests.
    requests: np.ndarray | None
    # Of a refit: after how many evaluations each fit stops, by model. A fit that is not named stops where the
    # validation part says.
    stops: Mapping[str, int] = field(default_factory=dict)

    @property
    def clicks_only(self) -> bool:
        """Whether only clicks were recorded, and negatives are matched."""
        return self.dataset.meta.negatives == "matched"

    def key(self, *parts: Any) -> str:
        """Fingerprint of a stage that reads the training part; it changes with any of `parts`."""
        return fingerprint(
            self.split_key, self.stops, self.options.seed, self.config.history, self.config.batch, *parts
        )

    def batcher(self, examples: Examples, training: bool = False, negatives: ListNegatives | None = None) -> Batcher:
        """Batches of a part, with items drawn to train clicks against where `negatives` draws them."""
        sizes = self.config.batch
        rows = sizes.rows if training else sizes.eval_rows
        device, requests = self.options.device, self.requests
        made = Batcher(examples, self.history, sizes.candidates, rows, device, requests=requests)
        made.negatives, made.recent = negatives, self.recent
        return made

    def checkpoint(self, name: str, key: str) -> Checkpoint:
        """Where a fit keeps what it needs to go on after a kill."""
        return Checkpoint(self.cache.path(name, key, "checkpoint"), self.options.resume)


def recent_clicks(config: Config, dataset: Dataset, hidden: np.ndarray | None = None) -> RecentClicks | None:
    """What the configuration's models read of recent clicks; None where they read nothing of them."""
    host = config.host
    return RecentClicks(dataset, host.recent_clicks_days, hidden, host.click_rates) if host.reads_recent else None


def open_run(options: Options, config: Config, loaded: Loaded | None = None) -> Run:
    """Read the data set (unless `loaded`), cut it and index its histories.

    Raises `ValueError` where a part of the split is empty, `ConfigError` where the configuration cannot work.
    """
    config.check()
    stages = options.out / "stages"
    loaded = loaded or Loaded.read(options.dataset, stages)
    dataset = loaded.dataset
    name = options.split or default_split(dataset)
    # Matched negatives are drawn once, whatever the seed of the weights: all seeds have the same test part.
    split = make_split(dataset, name, options.salt, options.fold)
    for part_name, part in (("train", split.train), ("valid", split.valid), ("test", split.test)):
        if len(part) == 0:
            raise ValueError(f"split `{split.name}`: the {part_name} part is empty; the data set is too small")
    split_key = fingerprint(loaded.key, split.name, options.salt, options.fold)
    cache = StageCache(stages)
    # All splits share one index but those that hide items.
    kept = loaded.key if split.exclude_items is None else split_key
    limits = config.history
    return Run(
        options=options,
        config=config.suited_to(dataset.meta.negatives == "matched"),
        dataset=dataset,
        data_key=loaded.key,
        split_key=split_key,
        split=split,
        history=HistoryIndex(
            dataset, limits.clicks, limits.impressions, split.exclude_items, cache.folder / f"histories-{kept}"
        ),
        recent=recent_clicks(config, dataset, split.exclude_items),
        cache=cache,
        frozen=FrozenCache(cache.folder, split_key),
        ledger=TestLedger(
            options.ledger or options.out / "test_reads.json",
            options.again,
            {"data": loaded.key, "part": split.name, "salt": options.salt, "fold": options.fold},
        ),
        requests=request_keys(dataset, config.features),
    )
