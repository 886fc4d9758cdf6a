"""PPM pre-training: clicks over the long window, from content alone."""

from __future__ import annotations

import numpy as np

from plugrank_training.batches import Batcher, Dropping
from plugrank_training.catalog import Catalog
from plugrank_training.config import Config
from plugrank_training.examples import Examples
from plugrank_training.models.build import make_pretrained
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.ppm import Ppm
from plugrank_training.next_clicks import ClickSequences, train_next_clicks
from plugrank_training.train import FitOptions, FitResult, fit


def newest(examples: Examples, share: float, by_user: bool = False) -> Examples:
    """The newest `share` of examples, or of each user's span where times are a user's own; equal times stay on one
    side."""
    if share >= 1.0 or len(examples.timestamp) == 0:
        return examples
    if by_user:
        last = np.zeros(int(examples.user.max()) + 1)
        np.maximum.at(last, examples.user, examples.timestamp)
        return examples.take(examples.timestamp >= (1.0 - share) * last[examples.user])
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
    catalog: Catalog,
    train: Batcher,
    valid: Batcher,
    config: Config,
    seed: int,
    sequences: ClickSequences | None = None,
) -> tuple[ClickModel, dict[str, FitResult]]:
    """Train PPM under a head of its own; only its branch and that head are kept by those who plug it in.

    With `sequences`, PPM first learns what is clicked next over all of them, and `train`, which then may be short,
    teaches the rest.
    """
    model = make_pretrained(catalog.schema, config, seed).to(catalog.modal.device)
    results = {}
    for part in model.parts():
        if isinstance(part, Ppm):
            part.projection.whiten(catalog.modal, catalog.present)
            if sequences is not None:
                dropping = Dropping(item=config.ppm.drop_item)
                results["next_clicks"] = train_next_clicks(part, catalog, sequences, config.next_clicks, dropping, seed)
                model.trust_match()
    results["fit"] = fit(model, catalog, train, valid, pretrain_options(config, seed))
    return model, results
