"""Quality against the share of missing vectors, and against the length of the pre-training window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from plugrank_training.bootstrap import Compared, paired_intervals
from plugrank_training.catalog import Catalog
from plugrank_training.config import Config
from plugrank_training.experiment import deviation
from plugrank_training.loaded import Loaded
from plugrank_training.metrics import auc
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.features import MISSING
from plugrank_training.options import Options
from plugrank_training.pipeline import Pipeline
from plugrank_training.progress_bar import progress_bar
from plugrank_training.train import predict
from plugrank_training.trained import finite

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
WINDOWS = (0.25, 0.5, 0.75, 1.0)
DRAWS = 3


@dataclass(frozen=True)
class Seed:
    """What one seed of a run trained."""

    pipeline: Pipeline
    catalog: Catalog
    unified: ClickModel
    idrec: ClickModel


def trained_seed(options: Options, config: Config, loaded: Loaded, seed: int) -> Seed:
    """Finds a seed's models again on disk (or trains them anew, where they are gone)."""
    pipeline = Pipeline(replace(options, seed=seed, models=("idrec", "unified")), config, loaded)
    catalog = pipeline.prepare(show_groups=False)
    trained = pipeline.run(catalog)
    unified, idrec = (trained[name].network().to(options.device) for name in ("unified", "idrec"))
    return Seed(pipeline, catalog, unified, idrec)


def without_vectors(catalog: Catalog, missing: np.ndarray) -> Catalog:
    """A catalog in which some items, bool `[items]`, are as the serving side has them on a miss: by their id alone."""
    keep = torch.from_numpy(~missing).to(catalog.present.device)
    ids = {
        name: value if name == "item_id" else torch.where(keep.view(-1, *[1] * (value.dim() - 1)), value, MISSING)
        for name, value in catalog.item_ids.items()
    }
    rows = keep.unsqueeze(1).float()
    return replace(catalog, present=catalog.present * rows, item_ids=ids, frozen=None)


def miss_tolerance(seeds: Sequence[int], trained: Callable[[int], Seed]) -> dict[str, Any]:
    """AUC on the test part against the share of items whose vectors are missing, with IDRec's beside it.

    Each seed's AUC is the mean over draws of which items are missing; mean and deviation are over seeds. `over_idrec`
    is UniM minus IDRec between mean scores over seeds and draws, with a paired interval over users. The weights are
    those that the test part was scored with already; nothing is chosen by it.
    """
    aucs, alone = np.zeros((len(seeds), len(SHARES))), np.zeros(len(seeds))
    unified, idrec = [np.zeros(0)] * len(SHARES), np.zeros(0)
    user, label = np.zeros(0), np.zeros(0)
    for at, number in enumerate(progress_bar(seeds, desc="missing vectors", unit="seed")):
        seed = trained(number)
        test = seed.pipeline.split.test
        batcher = seed.pipeline.batcher(test)
        if at == 0:
            user, label, idrec = test.user, test.label, np.zeros(len(test))
            unified = [np.zeros(len(test)) for _ in SHARES]
        scores = predict(seed.idrec, seed.catalog, batcher)
        alone[at] = auc(label, scores)
        idrec += scores / len(seeds)
        for column, share in enumerate(SHARES):
            draws = DRAWS if 0 < share < 1 else 1
            for draw in range(draws):
                missing = np.random.default_rng(draw).random(len(seed.catalog.present)) < share
                scores = predict(seed.unified, without_vectors(seed.catalog, missing), batcher)
                aucs[at, column] += auc(label, scores) / draws
                unified[column] += scores / (draws * len(seeds))
    gains = [paired_intervals(Compared(user, label, idrec, scores), user)["auc"] for scores in unified]
    return {
        "share": list(SHARES),
        "unified": aucs.mean(0).tolist(),
        "unified_deviation": [deviation(list(column)) for column in aucs.T],
        "idrec": float(alone.mean()),
        "idrec_deviation": deviation(list(alone)),
        "over_idrec": [finite(asdict(gain)) for gain in gains],
        "seeds": list(seeds),
        "draws": DRAWS,
    }


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
