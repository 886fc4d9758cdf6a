"""Run by `test_resume.py` as a process of its own: fits UniM on planted data and writes its weights.

Where the data are clicks alone, PPM is first trained on next clicks, a stage of its own as in `train`.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from planted import ITEMS
from plugrank_training import distributed
from plugrank_training.config import Config, NextClickConfig, PpmConfig, UnifiedConfig
from plugrank_training.data.catalog import item_features, make_catalog, user_features
from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import default_split, make_split
from plugrank_training.fit.batches import Batcher, Dropping
from plugrank_training.fit.checkpoint import Checkpoint
from plugrank_training.fit.pretrain import pretrain_next_clicks, start_of
from plugrank_training.fit.train import FitOptions, fit
from plugrank_training.models.build import make_unified
from plugrank_training.models.schema import Schema
from plugrank_training.stage_cache import StageCache


def main(data: Path, out: Path, flags: list[str]) -> None:
    plain = "--plain" in flags
    device = distributed.start(torch.device("cpu"))
    config = Config()
    if plain:
        # Nothing random within a step: what each process draws would differ.
        config = dataclasses.replace(config, ppm=PpmConfig(dropout=0.0), unified=UnifiedConfig(dropout=0.0))
    dataset = Dataset.load(data)
    split = make_split(dataset, default_split(dataset))
    schema = Schema(
        item_features(dataset, split.train, config), user_features(dataset, split.train, config), (("text", 4),), 15, 15
    )
    colours = torch.nn.functional.one_hot(torch.arange(ITEMS) % 4, 4).float()
    catalog = make_catalog(dataset, schema, [colours.numpy()], torch.ones(ITEMS, 1))
    history = HistoryIndex(dataset, 15, 15)
    train = Batcher(split.train, history, 8, 96, device)
    valid = Batcher(split.valid, history, 8, 512, device)
    model = make_unified(schema, config, 7)
    out.mkdir(parents=True, exist_ok=True)
    if distributed.is_main():
        save_file({name: value.clone() for name, value in model.state_dict().items()}, out / "start.safetensors")
    if dataset.meta.negatives == "matched":
        config = dataclasses.replace(config, next_clicks=NextClickConfig(epochs=4, clicks=200, negatives=40))
        resume = "--resume" in flags

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            checkpoint = Checkpoint(out / "next_clicks-1.checkpoint", resume, every_seconds=0.1)
            trained, result = pretrain_next_clicks(catalog, ClickSequences(history, split.train), config, 7, checkpoint)
            return trained.state_dict(), result.summary()

        pretrained = start_of(catalog, config, 7)
        pretrained.load_state_dict(StageCache(out).get_or_make("next_clicks", "1", make).tensors)
        model.start_from(pretrained)
    dropping = Dropping() if plain else Dropping(0.1, 0.1, 0.5)
    options = FitOptions("fit", 1 if plain else 2, 2, 9, 4e-3, 1e-3, 4e-3, 0.1, dropping, seed=7)
    checkpoint = Checkpoint(out / "fit.checkpoint", "--resume" in flags, every_seconds=0.1)
    fit(model, catalog, train, valid, options, checkpoint)
    if distributed.is_main():
        save_file({name: value.clone() for name, value in model.state_dict().items()}, out / "weights.safetensors")
    distributed.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
