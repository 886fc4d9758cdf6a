"""Networks that train once more with the validation part before they are tested, listed and exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bundles import without_idrec_bundle
from planted import write_planted
from plugrank_training.config import Config, HistoryConfig, ImageConfig, PpmConfig, TextConfig, UnifiedConfig
from plugrank_training.data.splits import make_split
from plugrank_training.evaluate.calibrate import apply
from plugrank_training.evaluate.metrics import evaluate
from plugrank_training.fit.experiment import run_experiment
from plugrank_training.fit.prepare import prepare
from plugrank_training.fit.refit import refit, served
from plugrank_training.fit.run import open_run
from plugrank_training.fit.stages import fit_models
from plugrank_training.fit.train import predict_tasks
from plugrank_training.options import Options

CONFIG = Config(
    text=TextConfig(dim=16, layers=1, heads=2, vocabulary=200, max_tokens=12, steps=100, learning_rate=5e-3),
    image=ImageConfig(encoder="none"),
    history=HistoryConfig(clicks=15, impressions=15),
    ppm=PpmConfig(epochs=1, learning_rate=5e-3),
    unified=UnifiedConfig(epochs=2, learning_rate=5e-3, refit=True),
)
NEW = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted data set, in which `NEW` items are shown from the validation part on."""
    made = write_planted(tmp_path_factory.mktemp("refit") / "set")
    path = made / "interactions.parquet"
    table = pq.read_table(path)
    items, times = np.array(table["item_id"].to_pylist()), np.array(table["timestamp"].to_pylist())
    new = np.isin(items, [f"i{n + 1}" for n in range(NEW)]) & (times < times[len(times) * 8 // 10])
    items[new] = "i30"
    column = table.schema.get_field_index("item_id")
    table = table.set_column(column, "item_id", pa.array(items.tolist()))
    order = np.lexsort((table["item_id"].to_numpy(), table["user_id"].to_numpy(), times))
    pq.write_table(table.take(order), path)
    return made


def options(folder: Path, out: Path, **more: object) -> Options:
    base = Options(folder, out, None, "plugrank", None, 0, torch.device("cpu"), models=("content", "idrec", "unified"))
    return replace(base, **more)  # type: ignore[arg-type]


def test_the_refit_trains_on_the_validation_part(folder: Path, tmp_path: Path) -> None:
    with without_idrec_bundle():
        report = run_experiment(options(folder, tmp_path), CONFIG)
    split = make_split(open_run(options(folder, tmp_path), CONFIG).dataset, "global")
    for name in ("idrec", "unified"):
        one = report[name]
        # As long as validation said, on more rows, unjudged.
        epochs = int(np.argmin(one["fit"]["valid_loss"])) + 1
        assert len(one["refit"]["train_loss"]) == epochs
        # Evaluations are so many steps apart, a batch or so before the end of a pass.
        whole = epochs * (len(split.train) + len(split.valid))
        assert 0.85 * whole < one["refit"]["rows"] <= whole
        assert one["refit"]["valid_loss"] == []
        assert one["test_reads"] == 1
    ids = (tmp_path / "bundle" / "vocab" / "item_id.txt").read_text(encoding="utf-8").splitlines()
    assert {f"i{n + 1}" for n in range(NEW)} <= set(ids)
    # One reading of the test part by a model: the first fit left it alone.
    reads = json.loads((tmp_path / "test_reads.json").read_text())
    assert len(reads) == 3


def test_the_slope_and_validation_stay_those_of_the_first_fit(folder: Path, tmp_path: Path) -> None:
    run = open_run(options(folder, tmp_path), CONFIG)
    prepared = prepare(run, show_groups=False)
    fitted = fit_models(run, prepared, ("content", "unified"))
    assert fitted.models["unified"].test is None
    last = served(run, prepared, fitted)
    first, again = fitted.models["unified"], last.models["unified"]
    assert last.models["content"] is fitted.models["content"]
    # The level is that of the validation part by the network that is served.
    assert again.calibration["a"] == first.calibration["a"]
    assert again.report["calibration"] == again.calibration != first.calibration
    valid = predict_tasks(again.network(), last.prepared.catalog, run.batcher(run.split.valid), "valid")[:, 0]
    assert apply(again.calibration, valid).mean() == pytest.approx(run.split.valid.label.mean(), abs=1e-4)
    assert again.report["valid"] == first.report["valid"]
    assert again.test is not None
    probability = apply(again.calibration, again.test)
    assert again.report["test"]["auc"] == evaluate(run.split.test.user, run.split.test.label, probability)["auc"]
    mine, theirs = first.network().state_dict(), again.network().state_dict()
    grown = next(name for name in mine if mine[name].shape != theirs[name].shape)
    assert len(theirs[grown]) > len(mine[grown])
    # Vectors of items stay, and the items that were new have ids of their own.
    assert last.prepared.encoders is prepared.encoders
    # Found again.
    assert served(run, prepared, fitted).models["unified"].report["refit"] == again.report["refit"]
    without = replace(run, config=replace(CONFIG, unified=replace(CONFIG.unified, refit=False)))
    assert served(without, prepared, fitted).models is fitted.models


def test_hidden_items_are_not_trained_on(folder: Path, tmp_path: Path) -> None:
    run = open_run(options(folder, tmp_path, split="items", fold=0, no_test=True), CONFIG)
    prepared = prepare(run, show_groups=False)
    with pytest.raises(ValueError, match=r"unified\.refit: the split `items` hides the items"):
        refit(run, prepared, fit_models(run, prepared, ("idrec",)))
