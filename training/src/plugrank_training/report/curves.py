"""Quality against the share of missing vectors, and against the length of the pre-training window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.examples import Examples
from plugrank_training.data.loaded import Loaded
from plugrank_training.evaluate.bootstrap import Compared, paired_intervals
from plugrank_training.evaluate.metrics import auc
from plugrank_training.evaluate.trained import finite
from plugrank_training.fit.experiment import deviation
from plugrank_training.fit.prepare import prepare
from plugrank_training.fit.refit import served
from plugrank_training.fit.run import Run, open_run
from plugrank_training.fit.stages import fit_models
from plugrank_training.fit.train import predict
from plugrank_training.progress_bar import progress_bar

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
WINDOWS = (0.25, 0.5, 0.75, 1.0)
DRAWS = 3
# The host with similarity to the history: it reads vectors, and no PPM.
SIMILARITY = "idrec-similarity"


def without_vectors(catalog: Catalog, missing: np.ndarray) -> Catalog:
    """A catalog in which some items, bool `[items]`, are as the serving side has them on a miss: by their id alone."""
    keep = torch.from_numpy(~missing).to(catalog.present.device)
    absent = {feature.name: feature.absent for feature in catalog.schema.item}
    ids = {
        name: value if name == "item_id" else torch.where(keep.view(-1, *[1] * (value.dim() - 1)), value, absent[name])
        for name, value in catalog.item_ids.items()
    }
    rows = keep.unsqueeze(1).float()
    return replace(catalog, present=catalog.present * rows, item_ids=ids, frozen=None)


@dataclass(frozen=True)
class SeedScores:
    """What one seed's models make of the test part."""

    test: Examples
    # Logits of IDRec, f64 `[n]`.
    idrec: np.ndarray
    # By model that reads vectors, means over draws: logits, f64 `[shares, n]`, and AUC, f64 `[shares]`.
    scores: dict[str, np.ndarray]
    aucs: dict[str, np.ndarray]


def miss_tolerance(run: Run, loaded: Loaded, seeds: Sequence[int]) -> dict[str, Any]:
    """AUC on the test part against the share of items whose vectors are missing, with IDRec's beside it.

    Where the run's models hold `idrec-similarity`, which reads vectors too, its curve as well. Means and deviations are
    over seeds. `over_idrec` is UniM minus IDRec between mean scores, with a paired interval over users, or over items
    where the split is by them; `over_idrec-similarity` is of the same items missing in both, and
    `over_whole_idrec-similarity` of none missing in the other. The weights are those that the test part was scored with
    already (trained anew where they are gone from the disk); nothing is chosen by it.
    """
    found = [score_without_vectors(run, loaded, seed) for seed in seeds]
    test = found[0].test
    alone = [auc(test.label, one.idrec) for one in found]
    idrec = np.mean([one.idrec for one in found], axis=0)
    scores = {name: np.mean([one.scores[name] for one in found], axis=0) for name in found[0].scores}
    resampled = "items" if run.split.name == "items" else "users"
    member = test.item if resampled == "items" else test.user

    def gains(others: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        pairs = zip(others, scores["unified"], strict=True)
        compared = (Compared(test.user, test.label, other, mine) for other, mine in pairs)
        return [finite(asdict(paired_intervals(one, member)["auc"])) for one in compared]

    told: dict[str, Any] = {
        "share": list(SHARES),
        "idrec": float(np.mean(alone)),
        "idrec_deviation": deviation(alone),
        "over_idrec": gains([idrec] * len(SHARES)),
        "resampled": resampled,
        "seeds": list(seeds),
        "draws": DRAWS,
    }
    for name in scores:
        by_share = np.stack([one.aucs[name] for one in found], axis=1)
        told[name] = [float(np.mean(each)) for each in by_share]
        told[f"{name}_deviation"] = [deviation(list(each)) for each in by_share]
    if SIMILARITY in scores:
        told[f"over_{SIMILARITY}"] = gains(list(scores[SIMILARITY]))
        told[f"over_whole_{SIMILARITY}"] = gains([scores[SIMILARITY][0]] * len(SHARES))
    return told


def score_without_vectors(run: Run, loaded: Loaded, seed: int) -> SeedScores:
    """Scores of one seed's models, which are found again on disk."""
    reading = ("unified", SIMILARITY) if SIMILARITY in run.options.models else ("unified",)
    options = replace(run.options, seed=seed, models=("idrec", *reading))
    own = open_run(options, run.config, loaded)
    prepared = prepare(own, show_groups=False)
    last = served(own, prepared, fit_models(own, prepared, options.models))
    catalog = last.prepared.catalog
    networks = {name: last.models[name].network().to(options.device) for name in options.models}
    test = own.split.test
    batcher = own.batcher(test)
    scores: dict[str, list[np.ndarray]] = {name: [] for name in reading}
    aucs: dict[str, list[float]] = {name: [] for name in reading}
    for share in progress_bar(SHARES, desc=f"missing vectors, seed {seed}", unit="share"):
        draws = range(DRAWS if 0 < share < 1 else 1)
        cut = [without_vectors(catalog, np.random.default_rng(d).random(len(catalog.present)) < share) for d in draws]
        for name in reading:
            drawn = [predict(networks[name], one, batcher) for one in cut]
            scores[name].append(np.mean(drawn, axis=0))
            aucs[name].append(float(np.mean([auc(test.label, each) for each in drawn])))
    return SeedScores(
        test,
        predict(networks["idrec"], catalog, batcher),
        {name: np.stack(each) for name, each in scores.items()},
        {name: np.array(each) for name, each in aucs.items()},
    )


def longer_history(run: Run, loaded: Loaded, windows: Sequence[float] = WINDOWS) -> dict[str, Any]:
    """Validation AUC of UniM against the pre-training window, the unified window fixed at the shortest."""
    fixed = min(windows)
    found = []
    for window in windows:
        config = replace(
            run.config,
            ppm=replace(run.config.ppm, window=window),
            unified=replace(run.config.unified, window=fixed),
        )
        options = replace(run.options, models=("unified",), no_test=True)
        own = open_run(options, config, loaded)
        trained = fit_models(own, prepare(own, show_groups=False), options.models).models["unified"]
        found.append(trained.report["valid"]["auc"])
    return {"window": list(windows), "unified_window": fixed, "auc": found}
