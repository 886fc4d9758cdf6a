"""Every network that `train --models` knows, by name. One entry is all that a further one needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from plugrank_training.config import Config
from plugrank_training.models.build import (
    make_idrec,
    make_pretrained,
    make_pretrained_sequence,
    make_unified,
    make_unified_with_similarity,
    make_with_semantic_ids,
    make_with_sequence,
    make_with_similarity,
    make_with_vectors,
)
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.hosts import HOSTS
from plugrank_training.models.schema import Schema

# From schema, configuration and seed, with fresh weights.
Build = Callable[[Schema, Config, int], ClickModel]


@dataclass(frozen=True)
class Plugin:
    """What is pre-trained by itself and then plugged into a host."""

    # Of its stages on the disk.
    name: str
    # Under a head of its own.
    build: Build


PPM = Plugin("ppm", make_pretrained)
SEQUENCE = Plugin("sequence", make_pretrained_sequence)


@dataclass(frozen=True)
class Network:
    """How a network is built and trained."""

    summary: str
    build: Build
    # A host that replaces the configured one.
    host: str | None = None
    # Reads modal vectors or content features beside ids; items are then dropped at random in training.
    reads_content: bool = False
    # Taken over, pre-trained, before it trains.
    plugin: Plugin | None = None
    # Is the pre-trained plug-in itself and trains no further.
    is_plugin: bool = False

    def configured(self, config: Config) -> Config:
        """The configuration with this network's host."""
        return replace(config, host=replace(config.host, kind=self.host)) if self.host else config


NETWORKS: dict[str, Network] = {
    **{name: Network(f"{name} on ids and categorical features", make_idrec, host=name) for name in HOSTS},
    "idrec": Network("the configured host alone", make_idrec),
    "idrec-similarity": Network("the host with similarity to the history", make_with_similarity, reads_content=True),
    "idrec-vectors": Network("the host with frozen modal vectors as a feature", make_with_vectors, reads_content=True),
    "idrec-semantic": Network("the host with semantic ids of the content", make_with_semantic_ids, reads_content=True),
    "idrec-sequence": Network("the host with a pre-trained sequence of ids", make_with_sequence, plugin=SEQUENCE),
    "ppm": Network("the pre-trained model alone", make_pretrained, reads_content=True, plugin=PPM, is_plugin=True),
    "unified": Network("PPM plugged into the host", make_unified, reads_content=True, plugin=PPM),
    "unified-similarity": Network(
        "the same with similarity to the history, whether or not it is configured",
        make_unified_with_similarity,
        reads_content=True,
        plugin=PPM,
    ),
}
