"""Quality against the share of missing vectors, and against the length of the pre-training window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from plugrank_training.catalog import Catalog
from plugrank_training.loaded import Loaded
from plugrank_training.metrics import auc
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.features import MISSING
from plugrank_training.pipeline import Pipeline
from plugrank_training.progress_bar import progress_bar
from plugrank_training.train import predict

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
WINDOWS = (0.25, 0.5, 0.75, 1.0)
DRAWS = 3


def without_vectors(catalog: Catalog, missing: np.ndarray) -> Catalog:
    """A catalog in which some items, bool `[items]`, are as the serving side has them on a miss: by their id alone."""
    keep = torch.from_numpy(~missing).to(catalog.present.device)
    ids = {
        name: value if name == "item_id" else torch.where(keep.view(-1, *[1] * (value.dim() - 1)), value, MISSING)
        for name, value in catalog.item_ids.items()
    }
    rows = keep.unsqueeze(1).float()
    return replace(catalog, present=catalog.present * rows, item_ids=ids, frozen=None)


def miss_tolerance(pipeline: Pipeline, catalog: Catalog, unified: ClickModel, idrec: ClickModel) -> dict[str, Any]:
    """AUC on the test part, mean over draws of which items are missing, with IDRec's beside it.

    The weights are those that the test part was scored with already; nothing is chosen by it.
    """
    test, device = pipeline.split.test, pipeline.options.device
    batcher = pipeline.batcher(test)
    found = []
    for share in progress_bar(SHARES, desc="missing vectors", unit="share"):
        draws = DRAWS if 0 < share < 1 else 1
        scores = []
        for seed in range(draws):
            missing = np.random.default_rng(seed).random(len(catalog.present)) < share
            scores.append(auc(test.label, predict(unified.to(device), without_vectors(catalog, missing), batcher)))
        found.append(float(np.mean(scores)))
    alone = auc(test.label, predict(idrec.to(device), catalog, batcher))
    return {"share": list(SHARES), "unified": found, "idrec": alone, "draws": DRAWS}


def longer_history(pipeline: Pipeline, loaded: Loaded, windows: Sequence[float] = WINDOWS) -> dict[str, Any]:
    """Validation AUC of UniM against the pre-training window, the unified window fixed at the shortest."""
    fixed = min(windows)
    found = []
    for window in windows:
        config = replace(
            pipeline.config,
            ppm=replace(pipeline.config.ppm, window=window),
            unified=replace(pipeline.config.unified, window=fixed),
        )
        options = replace(pipeline.options, models=("unified",), no_test=True)
        run = Pipeline(options, config, loaded)
        trained = run.run(run.prepare(show_groups=False))["unified"]
        found.append(trained.report["valid"]["auc"])
    return {"window": list(windows), "unified_window": fixed, "auc": found}
