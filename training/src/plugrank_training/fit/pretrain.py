"""PPM pre-training: clicks over the long window, from content alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from plugrank_training.config import Config
from plugrank_training.data.catalog import Catalog
from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.data.examples import Examples
from plugrank_training.fit.batches import Batcher, Dropping
from plugrank_training.fit.checkpoint import Checkpoint
from plugrank_training.fit.next_clicks import train_next_clicks
from plugrank_training.fit.train import FitOptions, FitResult, fit
from plugrank_training.models.branch import Branch
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.ppm import ItemProjection, Ppm
from plugrank_training.models.registry import PPM, Plugin
from plugrank_training.models.semantic_ids import SemanticIds
from plugrank_training.models.similarity import Similarity

# Items that whitening goes by; more change nothing.
WHITENED_ITEMS = 100_000


def newest(examples: Examples, share: float, by_user: bool = False) -> Examples:
    """The newest `share` of examples, or of each user's span where times are a user's own; equal times stay on one
    side."""
    if share >= 1.0 or len(examples.timestamp) == 0:
        return examples
    if by_user:
        last = np.zeros(int(examples.user.max()) + 1)
        np.maximum.at(last, examples.user, examples.timestamp)
        return examples.take(examples.timestamp >= (1.0 - share) * last[examples.user])
    # Examples are sorted by time, and what is left of them is not copied.
    from_time = examples.timestamp[int(np.ceil((len(examples) - 1) * (1.0 - share)))]
    return examples.take(slice(int(np.searchsorted(examples.timestamp, from_time)), None))


def pretrain_options(config: Config, seed: int) -> FitOptions:
    """How PPM is pre-trained."""
    return FitOptions(
        name="ppm pre-training",
        epochs=config.ppm.epochs,
        evaluations=config.unified.evaluations,
        patience=config.unified.patience,
        learning_rate=config.ppm.learning_rate,
        weight_decay=config.ppm.weight_decay,
        embedding_learning_rate=config.ppm.learning_rate,
        embedding_weight_decay=config.ppm.weight_decay,
        dropping=Dropping(item=config.ppm.drop_item),
        seed=seed,
        ranking=config.unified.ranking,
        task_weights=config.tasks.weights,
    )


def start_of(catalog: Catalog, config: Config, seed: int, plugin: Plugin = PPM) -> ClickModel:
    """A plug-in under a head of its own; a projection of vectors is whitened."""
    model = plugin.build(catalog.schema, config, seed).to(catalog.present.device)
    for part in model.parts():
        if isinstance(part, Ppm) and isinstance(part.projection, ItemProjection):
            whiten(part.projection, catalog)
        fit_content(part, catalog, seed)
    return model


def fit_content(part: Branch, catalog: Catalog, seed: int) -> None:
    """Take a branch's spaces or codes, which do not train, from the catalog's vectors, of a large one from a share."""
    if isinstance(part, Similarity):
        part.fit_directions(*catalog.modal.sample(catalog.present, WHITENED_ITEMS))
    if isinstance(part, SemanticIds):
        part.fit(*catalog.modal.sample(catalog.present, WHITENED_ITEMS), seed)


def whiten(projection: ItemProjection, catalog: Catalog) -> None:
    """Start a projection from the catalog's vectors, of a large one from a share of them."""
    projection.whiten(*catalog.modal.sample(catalog.present, WHITENED_ITEMS))


def pretrain_next_clicks(
    catalog: Catalog,
    sequences: ClickSequences,
    config: Config,
    seed: int,
    checkpoint: Checkpoint | None = None,
    plugin: Plugin = PPM,
) -> tuple[ClickModel, FitResult]:
    """Train a plug-in on what is clicked next over all of the sequences; its head then goes by that alone."""
    model = start_of(catalog, config, seed, plugin)
    ppm = next(part for part in model.parts() if isinstance(part, Ppm))
    dropping = Dropping(item=config.ppm.drop_item)
    result = train_next_clicks(ppm, catalog, sequences, config.next_clicks, dropping, seed, checkpoint)
    model.trust_match()
    return model, result


def pretrain(
    catalog: Catalog,
    train: Batcher,
    valid: Batcher,
    config: Config,
    seed: int,
    checkpoint: Checkpoint | None = None,
    start: ClickModel | None = None,
    plugin: Plugin = PPM,
    stop_after: int | None = None,
) -> tuple[ClickModel, FitResult]:
    """Train a plug-in under a head of its own, from `start` where there is one; branch and head are what is plugged
    in. `stop_after`: see `FitOptions`."""
    model = start or start_of(catalog, config, seed, plugin)
    options = replace(pretrain_options(config, seed), stop_after=stop_after)
    result = fit(model, catalog, train, valid, options, checkpoint)
    return model, result
