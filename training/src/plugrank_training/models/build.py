"""Builds the three click models from a schema and a configuration."""

from __future__ import annotations

import torch

from plugrank_training.config import Config
from plugrank_training.graphs import Schema
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.din import Din
from plugrank_training.models.ppm import Ppm


def make_ppm(schema: Schema, config: Config) -> Ppm:
    """The plug-in alone."""
    return Ppm(tuple(width for _, width in schema.parts), config.ppm, config.history)


def make_pretrained(schema: Schema, config: Config, seed: int) -> ClickModel:
    """PPM under a head of its own: what pre-training trains."""
    torch.manual_seed(seed)
    return ClickModel({"ppm": make_ppm(schema, config)}, config.unified, config.history, config.cache_dtype == "f16")


def make_idrec(schema: Schema, config: Config, seed: int) -> ClickModel:
    """DIN alone."""
    torch.manual_seed(seed)
    din = Din(schema.item, schema.user, config.host)
    return ClickModel({"din": din}, config.unified, config.history, rounds=False)


def make_unified(schema: Schema, config: Config, seed: int) -> ClickModel:
    """PPM plugged into DIN."""
    torch.manual_seed(seed)
    din = Din(schema.item, schema.user, config.host)
    branches = {"ppm": make_ppm(schema, config), "din": din}
    return ClickModel(branches, config.unified, config.history, config.cache_dtype == "f16")
