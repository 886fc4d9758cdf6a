"""The whole run where only clicks were recorded: encoders, next clicks, PPM, UniM, bundle."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from bundles import without_idrec_bundle
from planted import write_clicks
from plugrank_training.config import (
    BatchConfig,
    Config,
    CovisitConfig,
    HistoryConfig,
    ImageConfig,
    NextClickConfig,
    PpmConfig,
    TextConfig,
    UnifiedConfig,
)
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.splits import make_split
from plugrank_training.fit.experiment import run_experiment
from plugrank_training.fit.prepare import prepare
from plugrank_training.fit.run import open_run
from plugrank_training.fit.stages import fit_models
from plugrank_training.options import Options

CONFIG = Config(
    text=TextConfig(dim=16, layers=1, heads=2, vocabulary=200, max_tokens=12, steps=60, batch=32, learning_rate=5e-3),
    image=ImageConfig(dim=8, width=12, height=16, channels=4, epochs=2, batch=32),
    history=HistoryConfig(clicks=15, impressions=0),
    ppm=PpmConfig(epochs=1, learning_rate=5e-3),
    next_clicks=NextClickConfig(epochs=8, clicks=300, negatives=40, learning_rate=5e-3),
    covisits=CovisitConfig(dim=8, reach=5),
    unified=UnifiedConfig(epochs=1, learning_rate=5e-3),
    batch=BatchConfig(rows=128),
)
FROZEN = ("ppm.projection", "ppm.transformer")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    home = tmp_path_factory.mktemp("clicks")
    data = write_clicks(home / "set")
    models = ("cooccurrence", "idrec", "unified")
    return Options(data, home / "out", None, "plugrank", None, 0, torch.device("cpu"), models=models)


def test_a_bundle_is_trained_from_clicks_alone(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    with without_idrec_bundle():
        report = run_experiment(options, CONFIG)
    assert report["split"] == "warm"
    losses = report["ppm"]["next_clicks"]["train_loss"]
    assert len(losses) == CONFIG.next_clicks.epochs
    assert losses[-1] < losses[0] - 0.2
    split = make_split(Dataset.load(options.dataset), "warm")
    for name in options.models:
        table = pq.read_table(options.out / "predictions" / f"{name}.parquet")
        label = table["label"].to_numpy()
        # A negative for each click.
        assert (table.num_rows, label.mean()) == (len(split.test), 0.5)
        assert abs(roc_auc_score(label, table["score"].to_numpy()) - report[name]["test"]["auc"]) < 1e-6
    assert report["unified"]["test"]["auc"] > 0.75
    manifest = json.loads((options.out / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["time"] == "order"
    assert {"unified", "idrec", "item_encoder", "user_encoder"} <= set(manifest["graphs"])
    # Co-visits are part of what is served.
    assert any("covisit" in port["name"] for port in manifest["graphs"]["unified"]["inputs"])
    assert max(report["bundle"]["onnx_difference"].values()) < 1e-4
    assert "computed" in capsys.readouterr().out


def test_frozen_layers_are_read_from_files(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    """The same run again with the lower layers of PPM frozen; earlier stages are reused."""
    config = dataclasses.replace(CONFIG, unified=dataclasses.replace(CONFIG.unified, freeze=FROZEN))
    run = open_run(dataclasses.replace(options, no_test=True), config)
    fitted = fit_models(run, prepare(run, show_groups=True), ("unified",))
    trained = fitted.models["unified"]
    printed = capsys.readouterr().out.splitlines()
    assert next(line for line in printed if line.startswith("ppm pre-training")).endswith("(reused)")
    for name in FROZEN:
        row = next(line for line in printed if line.startswith(name))
        assert "2, then frozen" in row
        assert row.endswith("read from files")
    assert next(line for line in printed if line.startswith("ppm.attention")).endswith("computed")
    stages = options.out / "stages"
    # Of all items; of the histories of the training and of the validation part.
    assert len(list(stages.glob("frozen-items-*"))) == 1
    assert len(list(stages.glob("frozen-histories-*"))) == 2
    assert trained.report["valid"]["auc"] > 0.7
    assert trained.model is not None
    assert fitted.ppm is not None
    before = fitted.ppm.model.state_dict()
    after = trained.model.state_dict()
    kept = [name for name in before if name.startswith(("branches.ppm.projection", "branches.ppm.layers"))]
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert not np.allclose(
        before["branches.ppm.attention.to_key.weight"], after["branches.ppm.attention.to_key.weight"]
    )


def test_a_sequence_of_ids_is_pretrained_and_plugged_in(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    """The baseline goes through the stages that UniM does, and keeps its own apart from PPM's."""
    config = dataclasses.replace(CONFIG, unified=dataclasses.replace(CONFIG.unified, freeze=FROZEN))
    run = open_run(dataclasses.replace(options, no_test=True), config)
    fitted = fit_models(run, prepare(run, show_groups=False), ("idrec-sequence",))
    assert fitted.ppm is None
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("sequence pre-training") for line in printed)
    stages = options.out / "stages"
    made_stages = {path.name.rpartition("-")[0] for path in stages.glob("*sequence*.safetensors")}
    assert made_stages == {"next_clicks-sequence", "sequence", "idrec-sequence", "idrec-sequence-valid"}
    trained = fitted.models["idrec-sequence"]
    assert trained.report["valid"]["auc"] > 0.7
    model = trained.network()
    # No branch reads vectors; the pre-trained embedding of ids stays as it was, as it is frozen.
    assert not any(part.reads_vectors for part in model.parts())
    made = load_file(next(stages.glob("sequence-*.safetensors")))
    name = "branches.ppm.projection.embeddings.tables.0.weight"
    assert torch.equal(model.state_dict()[name], made[name])
