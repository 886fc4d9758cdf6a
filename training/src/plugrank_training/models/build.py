"""Builds the click models from a schema and a configuration."""

from __future__ import annotations

from dataclasses import replace

import torch

from plugrank_training.config import Config, SemanticIdConfig, SimilarityConfig
from plugrank_training.models.branch import Branch
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.covisits import Covisits
from plugrank_training.models.frozen_vectors import FrozenVectors
from plugrank_training.models.hosts import make_host
from plugrank_training.models.id_sequence import IdSequence
from plugrank_training.models.item_popularity import ItemPopularity
from plugrank_training.models.ppm import Ppm
from plugrank_training.models.recent_clicks import RecentPopularity
from plugrank_training.models.schema import Schema
from plugrank_training.models.semantic_ids import SemanticIds
from plugrank_training.models.similarity import Similarity

# Of `idrec-similarity` where the configuration leaves similarity out of UniM.
SIMILARITY_DIM = 64
# Of `idrec-semantic` where the configuration leaves semantic ids out of UniM.
SEMANTIC_LEVELS = 3


def make_ppm(schema: Schema, config: Config) -> Ppm:
    """The plug-in alone."""
    return Ppm(tuple(width for _, width in schema.parts), schema.item, config.ppm, config.history)


def make_sequence(schema: Schema, config: Config) -> dict[str, Branch]:
    """The same over item ids in place of content."""
    return {"ppm": IdSequence((), schema.item, config.ppm, config.history)}


def make_plugged(schema: Schema, config: Config) -> dict[str, Branch]:
    """What is plugged into a host: PPM, and beside it similarity and semantic ids where they are configured."""
    branches: dict[str, Branch] = {"ppm": make_ppm(schema, config)}
    if config.similarity.dim:
        branches["similarity"] = make_similarity(schema, config.similarity)
    if config.semantic_ids.levels:
        branches["semantic_ids"] = make_semantic_ids(schema, config.semantic_ids)
    return branches


def make_similarity(schema: Schema, config: SimilarityConfig) -> Similarity:
    """How like a candidate's content is to the history's."""
    return Similarity(tuple(width for _, width in schema.parts), schema.item, config)


def make_semantic_ids(schema: Schema, config: SemanticIdConfig) -> SemanticIds:
    """Codes of the content."""
    return SemanticIds(tuple(width for _, width in schema.parts), config)


def make_host_branches(schema: Schema, config: Config) -> dict[str, Branch]:
    """The host, and beside it popularity, recent clicks and co-visits where they are configured."""
    branches: dict[str, Branch] = {"host": make_host(schema, config.host)}
    size = next(feature.size for feature in schema.item if feature.name == "item_id")
    if config.host.popularity:
        branches["popularity"] = ItemPopularity(size)
    if config.host.reads_recent:
        branches["recent_clicks"] = RecentPopularity(size, len(config.host.recent_clicks_days), config.host.click_rates)
    if config.covisits.dim:
        branches["covisits"] = Covisits(size, config.covisits.dim, config.history.clicks + config.history.impressions)
    return branches


def assemble(schema: Schema, branches: dict[str, Branch], config: Config, cached: bool) -> ClickModel:
    """A click model of these branches; `cached`: outputs pass through the serving side's cache."""
    return ClickModel(branches, config.unified, config.history, cached and config.cache_dtype == "f16", schema)


def make_pretrained(schema: Schema, config: Config, seed: int) -> ClickModel:
    """PPM under a head of its own: what pre-training trains."""
    torch.manual_seed(seed)
    return assemble(schema, make_plugged(schema, config), config, cached=True)


def make_pretrained_sequence(schema: Schema, config: Config, seed: int) -> ClickModel:
    """The sequence of ids under a head of its own: what its pre-training trains."""
    torch.manual_seed(seed)
    return assemble(schema, make_sequence(schema, config), config, cached=False)


def make_idrec(schema: Schema, config: Config, seed: int) -> ClickModel:
    """The host alone."""
    torch.manual_seed(seed)
    return assemble(schema, make_host_branches(schema, config), config, cached=False)


def make_with_vectors(schema: Schema, config: Config, seed: int) -> ClickModel:
    """The host with frozen modal vectors as a feature."""
    torch.manual_seed(seed)
    vectors = FrozenVectors(tuple(width for _, width in schema.parts), config.ppm)
    return assemble(schema, make_host_branches(schema, config) | {"vectors": vectors}, config, cached=False)


def make_with_similarity(schema: Schema, config: Config, seed: int) -> ClickModel:
    """The host with similarity to the history, without PPM; of `SIMILARITY_DIM` dimensions where UniM has none."""
    torch.manual_seed(seed)
    branches = make_host_branches(schema, config)
    similarity = make_similarity(schema, with_similarity(config.similarity))
    return assemble(schema, branches | {"similarity": similarity}, config, cached=False)


def make_with_semantic_ids(schema: Schema, config: Config, seed: int) -> ClickModel:
    """The host with semantic ids, without PPM; of `SEMANTIC_LEVELS` levels where UniM has none."""
    torch.manual_seed(seed)
    branches = make_host_branches(schema, config)
    chosen = config.semantic_ids
    codes = make_semantic_ids(schema, chosen if chosen.levels else replace(chosen, levels=SEMANTIC_LEVELS))
    return assemble(schema, branches | {"semantic_ids": codes}, config, cached=False)


def with_similarity(config: SimilarityConfig) -> SimilarityConfig:
    """What is configured, with `SIMILARITY_DIM` dimensions where there are none."""
    return config if config.dim else replace(config, dim=SIMILARITY_DIM)


def make_unified(schema: Schema, config: Config, seed: int) -> ClickModel:
    """PPM plugged into the host."""
    torch.manual_seed(seed)
    host = make_host_branches(schema, config)
    return assemble(schema, {**make_plugged(schema, config), **host}, config, cached=True)


def make_unified_with_similarity(schema: Schema, config: Config, seed: int) -> ClickModel:
    """PPM plugged into the host, with similarity to the history where `unified` has none."""
    torch.manual_seed(seed)
    host = make_host_branches(schema, config)
    branches = {**make_plugged(schema, config), **host}
    if "similarity" not in branches:
        # Last: what is taken over from PPM's pre-training are the first branches.
        branches["similarity"] = make_similarity(schema, with_similarity(config.similarity))
    return assemble(schema, branches, config, cached=True)


def make_with_sequence(schema: Schema, config: Config, seed: int) -> ClickModel:
    """The sequence of ids plugged into the host."""
    torch.manual_seed(seed)
    host = make_host_branches(schema, config)
    return assemble(schema, {**make_sequence(schema, config), **host}, config, cached=False)
