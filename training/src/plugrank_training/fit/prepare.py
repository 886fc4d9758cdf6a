"""Stage 1: encoders, the catalog of items and users with modal vectors, and which items are clicked together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from plugrank_training.config import Config
from plugrank_training.console import reused_note, say
from plugrank_training.data.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.data.columns import column_table, column_uses, refuse_absent, unlisted_note
from plugrank_training.data.content_vectors import content_vectors
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.log_context import log_features, past_features
from plugrank_training.encoders.stage import (
    Content,
    ImageResult,
    TextResult,
    Training,
    clicked_pairs,
    image_stage,
    text_stage,
)
from plugrank_training.feature_config import ConfigError
from plugrank_training.fit.covisit_factors import covisit_factors
from plugrank_training.fit.list_negatives import ListNegatives
from plugrank_training.fit.run import Run
from plugrank_training.models.build import make_unified
from plugrank_training.models.groups import GroupRow, freeze, group_table, groups_of, stored_groups
from plugrank_training.models.own_features import Features
from plugrank_training.models.schema import LIST_TASK, MAIN_TASK, Schema


@dataclass(frozen=True)
class Encoders:
    """Trained encoders with the vectors they made; None where a modality is absent."""

    text: TextResult | None
    image: ImageResult | None


@dataclass(frozen=True)
class Prepared:
    """What stage 1 made, and the later stages read."""

    encoders: Encoders
    catalog: Catalog
    # What every user clicked in the training part; None where no stage reads it.
    sequences: ClickSequences | None
    # Co-visit factors `from` and `to`, each f32 [items, dim]; None where they are left out.
    covisits: tuple[np.ndarray, np.ndarray] | None
    # Draws items to train clicks against; None where the configuration leaves the list loss out.
    negatives: ListNegatives | None


def content_of(folder: Path, data: Dataset) -> Content:
    """What a data set's items are made of."""
    return Content(folder, data.titles, data.texts, data.categories, data.images)


def train_encoders(run: Run) -> Encoders:
    """Train the encoders and encode all items, or find what was made before."""
    train = run.split.train
    content = content_of(run.options.dataset, run.dataset)
    pairs = clicked_pairs(train.user, train.item, train.label)
    training = Training(run.cache, run.data_key, pairs, run.split_key, run.options.seed, run.options.device)
    text = text_stage(content, run.config.text, training)
    image = image_stage(content, run.config.image, training, text)
    for name, made in (("text", text), ("image", image)):
        found = "none" if made is None else f"{int(made.present.sum()):,} items"
        say(f"{name} encoder: {found}{reused_note(made is not None and made.reused)}")
    return Encoders(text, image)


def schema_of(run: Run, encoders: Encoders, features: Features | None = None) -> Schema:
    """What the models read: `features` of a network that was trained before, or all that the data set has.

    Raises `ValueError` where items have neither text nor image.
    """
    parts = []
    if encoders.text:
        parts.append(("text", encoders.text.encoder.dim))
    if encoders.image:
        parts.append(("image", encoders.image.encoder.dim))
    if not parts:
        raise ValueError("items.parquet: no item has a title, a text or an image; PPM needs content to read")
    if features is not None:
        lacking = [task for task in features.tasks[1:] if task not in run.dataset.task_labels]
        if lacking:
            raise ValueError(f"interactions.parquet has no column `label_{lacking[0]}` for the task of that name")
        return features.schema(tuple(parts))
    history, train = run.config.history, run.split.train
    request, candidate = log_features(run.dataset, train, run.config.features)
    return Schema(
        item_features(run.dataset, train, run.config),
        user_features(run.dataset, train, run.config),
        tuple(parts),
        history.clicks,
        history.impressions,
        request,
        candidate,
        tasks_of(run.dataset, run.config),
        run.config.features.timezone,
        past_features(run.dataset, train, run.config.features),
    )


def tasks_of(dataset: Dataset, config: Config) -> tuple[str, ...]:
    """What is predicted. Raises `ConfigError` for weights of tasks that the data set does not have, and where one has
    the name of the output of lists."""
    weights = config.tasks.weights
    strange = [task for task in weights if task not in dataset.task_labels]
    if strange:
        raise ConfigError(f"tasks.weights.{strange[0]}: interactions.parquet has no column `label_{strange[0]}`")
    labelled = [task for task in dataset.task_labels if weights.get(task, 1.0) > 0]
    if LIST_TASK in labelled:
        raise ConfigError(
            f"interactions.parquet has a column `label_{LIST_TASK}`, which is the name of the output of lists "
            f"(lists.output); name it otherwise, or set tasks.weights.{LIST_TASK} = 0"
        )
    return MAIN_TASK, *labelled, *([LIST_TASK] if config.lists.own else [])


def prepare(
    run: Run, show_groups: bool, features: Features | None = None, encoders: Encoders | None = None
) -> Prepared:
    """Stage 1; `show_groups` prints what happened to every column, what trains when and what is cached. `features`: see
    `schema_of`; `encoders` that are given do not train again.

    Modal vectors stay f32, as the serving side keeps them: whitening stretches them, so a rounding that falls the
    other way there would be seen in the scores.
    """
    for reason, count in run.split.left_out.items():
        say(f"left out: {count:,} {reason}")
    encoders = encoders or train_encoders(run)
    schema = schema_of(run, encoders, features)
    made = [part for part in (encoders.text, encoders.image) if part is not None]
    present = torch.stack([part.present for part in made], dim=1)
    refuse_absent(schema, run.dataset, run.options.allow_absent)
    catalog = make_catalog(run.dataset, schema, [part.vectors for part in made], present)
    if show_groups:
        say("\n" + column_table(column_uses(run.dataset, schema)))
        if unlisted_note(run.dataset):
            say(unlisted_note(run.dataset))
        say("\n" + describe_groups(run, encoders, schema) + "\n")
    config = run.config
    needed = config.covisits.dim or config.next_clicks.epochs
    sequences = ClickSequences(run.history, run.split.train) if needed else None
    factors = None
    if sequences is not None and config.covisits.dim:
        factors = covisit_factors(sequences, len(run.dataset.item_ids), config.covisits.reach, config.covisits.dim)
    negatives = None
    if config.lists.share or config.retrieval.share:
        if config.lists.popular_days and run.dataset.meta.time != "ms":
            raise ValueError("lists.popular_days: the data set's timestamps are an order, not times")
        vectors = content_vectors(catalog)
        negatives = ListNegatives(run.split.train, run.dataset.categories, vectors, config.lists)
    return Prepared(encoders, catalog.to(run.options.device), sequences, factors, negatives)


def describe_groups(run: Run, encoders: Encoders, schema: Schema) -> str:
    """The table of what trains when and what is cached."""

    def count(parameters: Iterable[torch.nn.Parameter]) -> int:
        return sum(parameter.numel() for parameter in parameters)

    rows = []
    for name, part in (("text encoder", encoders.text), ("image encoder", encoders.image)):
        if part is not None:
            size = count(part.encoder.parameters())
            rows.append(GroupRow(name, size, "1, then frozen", "modal vector, per item", from_files=True))
    model, frozen = make_unified(schema, run.config, 0), run.config.unified.freeze
    freeze(model, frozen)
    stored = stored_groups(model)
    for group in groups_of(model):
        stages = "2, 3" if group.name.startswith("ppm") else "3"
        if group.name in frozen:
            stages = "2, then frozen" if group.name.startswith("ppm") else "never"
        rows.append(GroupRow(group.name, count(group.parameters), stages, group.cached, group.name in stored))
    return group_table(rows)
