"""Quality against the share of missing vectors, and against the length of the pre-training window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from plugrank_training.bootstrap import Compared, paired_intervals
from plugrank_training.catalog import Catalog
from plugrank_training.examples import Examples
from plugrank_training.experiment import deviation
from plugrank_training.loaded import Loaded
from plugrank_training.metrics import auc
from plugrank_training.models.features import MISSING
from plugrank_training.pipeline import Pipeline
from plugrank_training.progress_bar import progress_bar
from plugrank_training.train import predict
from plugrank_training.trained import finite

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


@dataclass(frozen=True)
class SeedScores:
    """What one seed's models make of the test part."""

    test: Examples
    # Logits, f64 `[n]`; and of UniM `[shares, n]`, means over draws of which items are missing.
    idrec: np.ndarray
    unified: np.ndarray
    # UniM's AUC, f64 `[shares]`, means over draws.
    aucs: np.ndarray


def miss_tolerance(pipeline: Pipeline, loaded: Loaded, seeds: Sequence[int]) -> dict[str, Any]:
    """AUC on the test part against the share of items whose vectors are missing, with IDRec's beside it.

    Means and deviations are over seeds. `over_idrec` is UniM minus IDRec between mean scores, with a paired interval
    over users, or over items where the split is by them. The weights are those that the test part was scored with
    already (trained anew where they are gone from the disk); nothing is chosen by it.
    """
    found = [score_without_vectors(pipeline, loaded, seed) for seed in seeds]
    test = found[0].test
    alone = [auc(test.label, one.idrec) for one in found]
    by_share = np.stack([one.aucs for one in found], axis=1)
    idrec = np.mean([one.idrec for one in found], axis=0)
    unified = np.mean([one.unified for one in found], axis=0)
    resampled = "items" if pipeline.split.name == "items" else "users"
    member = test.item if resampled == "items" else test.user
    gains = [paired_intervals(Compared(test.user, test.label, idrec, scores), member)["auc"] for scores in unified]
    return {
        "share": list(SHARES),
        "unified": [float(np.mean(each)) for each in by_share],
        "unified_deviation": [deviation(list(each)) for each in by_share],
        "idrec": float(np.mean(alone)),
        "idrec_deviation": deviation(alone),
        "over_idrec": [finite(asdict(gain)) for gain in gains],
        "resampled": resampled,
        "seeds": list(seeds),
        "draws": DRAWS,
    }


def score_without_vectors(pipeline: Pipeline, loaded: Loaded, seed: int) -> SeedScores:
    """Scores of one seed's models, which are found again on disk."""
    options = replace(pipeline.options, seed=seed, models=("idrec", "unified"))
    run = Pipeline(options, pipeline.config, loaded)
    catalog = run.prepare(show_groups=False)
    trained = run.run(catalog)
    idrec, model = (trained[name].network().to(options.device) for name in options.models)
    test = run.split.test
    batcher = run.batcher(test)
    unified, aucs = [], []
    for share in progress_bar(SHARES, desc=f"missing vectors, seed {seed}", unit="share"):
        drawn = []
        for draw in range(DRAWS if 0 < share < 1 else 1):
            missing = np.random.default_rng(draw).random(len(catalog.present)) < share
            drawn.append(predict(model, without_vectors(catalog, missing), batcher))
        unified.append(np.mean(drawn, axis=0))
        aucs.append(np.mean([auc(test.label, scores) for scores in drawn]))
    return SeedScores(test, predict(idrec, catalog, batcher), np.stack(unified), np.array(aucs))


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
