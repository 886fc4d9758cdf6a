"""PPM pre-training: clicks over the long window, from content alone."""

from __future__ import annotations

import numpy as np

from plugrank_training.batches import Batcher, Dropping
from plugrank_training.catalog import Catalog
from plugrank_training.checkpoint import Checkpoint
from plugrank_training.config import Config
from plugrank_training.examples import Examples
from plugrank_training.models.build import make_pretrained
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.ppm import Ppm
from plugrank_training.train import FitOptions, FitResult, fit


def newest(examples: Examples, share: float) -> Examples:
    """The newest `share` of examples; equal times stay on one side."""
    if share >= 1.0 or len(examples.timestamp) == 0:
        return examples
    from_time = np.quantile(examples.timestamp, 1.0 - share, method="higher")
    keep = examples.timestamp >= from_time
    return examples.take(keep)


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
    )


def pretrain(
    catalog: Catalog, train: Batcher, valid: Batcher, config: Config, seed: int, checkpoint: Checkpoint | None = None
) -> tuple[ClickModel, FitResult]:
    """Train PPM under a head of its own; only its branch is kept by those who plug it in."""
    model = make_pretrained(catalog.schema, config, seed).to(catalog.modal.device)
    for part in model.parts():
        if isinstance(part, Ppm):
            part.projection.whiten(catalog.modal, catalog.present)
    result = fit(model, catalog, train, valid, pretrain_options(config, seed), checkpoint)
    return model, result
