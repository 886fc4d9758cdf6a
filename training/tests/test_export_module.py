"""Export of networks that other code trained: scores of the graphs equal those of the network."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from examples import EXAMPLES, example, run_script
from planted import write_planted
from plugrank_training import Branch, Category, Features, RowModel, Rows, export_module
from plugrank_training.cli import main
from plugrank_training.config import Config
from plugrank_training.models.inputs import History, ItemInputs, ItemParts, Named, UserParts


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "set")


@dataclass(frozen=True)
class Exported:
    """What the script of the docs trained and wrote."""

    model: nn.Module
    ids: dict[str, dict[str, int]]
    bundle: Path


@pytest.fixture(scope="module")
def exported(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    bundle = tmp_path_factory.mktemp("exported") / "bundle"
    left, _ = run_script("torch_model", planted, bundle)
    return Exported(left["net"], left["known"], bundle)


def own_scores(dataset: Path, model: nn.Module, ids: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """The network's own probability of every impression, history and all in plain Python."""
    brands = {row["item_id"]: row["brand"] for row in pq.read_table(dataset / "items.parquet").to_pylist()}
    log = pq.read_table(dataset / "interactions.parquet").to_pylist()
    rows = []
    for number, event in enumerate(log):
        before = [
            ids["item"][past["item_id"]]
            for past in log[:number]
            if past["user_id"] == event["user_id"] and past["label"] and past["timestamp"] < event["timestamp"]
        ][-10:]
        if number % 4:
            continue
        clicks = torch.tensor([before + [0] * (10 - len(before))])
        brand = ids["brand"].get(brands[event["item_id"]], len(ids["brand"]) + 1)
        given = (ids["user"][event["user_id"]], ids["item"][event["item_id"]], brand)
        with torch.no_grad():
            logit = model(*(torch.tensor([value]) for value in given), clicks)
        rows.append(event | {"score": float(logit.sigmoid())})
    return rows


def test_a_torch_model_is_served_as_it_scores(
    planted: Path, exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = own_scores(planted, exported.model, exported.ids)
    assert len(rows) > 1000
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    compared = ["parity", str(tmp_path / "scores.parquet"), "--bundle", str(exported.bundle), "--dataset", str(planted)]
    assert main([*compared, "--rows", "1000"]) == 0
    assert "1000 impressions" in capsys.readouterr().out
    rows[7]["score"] += 0.01
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    assert main([*compared, "--rows", "2000"]) == 1
    assert "allowed is a difference of 0.0001" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "after", "most"),
    [
        ("torch_model", "# --- What Plugrank needs", 20),
        ("fuxictr_model", "# --- What Plugrank needs", 20),
        ("plug_ppm", "import sys", 15),
    ],
)
def test_the_examples_are_short(name: str, after: str, most: int) -> None:
    """What a person writes for Plugrank, beside the model."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").split(after)[1]
    lines = [line.strip() for line in text.splitlines()[1:]]
    code = [line for line in lines if line and not line.startswith(("#", '"""'))]
    print(f"{name}: {len(code)} lines")
    assert len(code) <= most


def test_unread_inputs_are_left_out_of_graphs(exported: Exported) -> None:
    manifest = json.loads((exported.bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["modal"] == {"dim": 0}
    for name, graph in manifest["graphs"].items():
        model = onnx.load(exported.bundle / graph["file"])
        assert [port["name"] for port in graph["inputs"]] == [port.name for port in model.graph.input], name
    unified = [port["source"] for port in manifest["graphs"]["unified"]["inputs"]]
    assert "request.recency_bucket" not in unified


class Towers(Branch):
    """Two towers, cut by their author: the user is the mean of what was clicked."""

    history_outputs = ("tower",)
    candidate_outputs = ("tower",)
    item_dim, user_dim, cross_dim = 0, 0, 1

    def __init__(self, items: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table, self.popular = nn.Embedding(items, 8), nn.Embedding(items, 1)

    def item(self, inputs: ItemInputs) -> ItemParts:
        vector = self.table(inputs.features["item_id"])
        return ItemParts({"tower": vector}, vector[:, :0], self.popular(inputs.features["item_id"]))

    def user(self, history: History) -> UserParts:
        clicked = (history.mask * history.label).unsqueeze(-1)
        mean = (history.items["tower"] * clicked).sum(1) / clicked.sum(1).clamp(min=1.0)
        return UserParts({"mean": mean}, mean[:, :0], mean.sum(-1, keepdim=True))

    def cross(self, state: Named, candidate: Named) -> Tensor:
        return (state["mean"].unsqueeze(1) * candidate["tower"]).sum(-1, keepdim=True)


def test_a_cut_model_retrieves_by_an_output_of_its_own(tmp_path: Path) -> None:
    features = Features({"item_id": Category([f"i{n}" for n in range(20)])}, clicks=5, impressions=5)
    manifest = export_module(Towers(22), features, item_vector="tower", out=tmp_path / "bundle")
    assert manifest["retrieval"] == {"item_vector": "tower"}
    assert [port["name"] for port in manifest["graphs"]["item_encoder"]["outputs"]] == ["tower", "prior"]
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-5
    with pytest.raises(ValueError, match="retrieval reads `twoer`"):
        export_module(Towers(22), features, item_vector="twoer", out=tmp_path / "other")


class Wide(RowModel):
    output_dim = 2

    def forward(self, rows: Rows) -> Tensor:
        return torch.stack([rows.item["item_id"].float()] * 2, dim=1)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (Features({}), "at least one feature"),
        (Features({"item_id": Category(["a\nb"])}), "hold a line break"),
        (Features({"item_id": Category(["a", "a"])}), "twice"),
        (Features({"item_id": Category({"a": -1})}), "between 0 and"),
        (Features({"a": Category(["x"], "brand"), "b": Category(["x"], "brand")}), "have the column `brand`"),
        (Features({"item_id": Category(["a"])}), "output_dim is 2"),
    ],
)
def test_invalid_features_are_named(features: Features, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        export_module(Wide(), features, item_vector=nn.Embedding(3, 2), out=tmp_path / "bundle")


def test_ppm_is_plugged_into_a_host_that_stays_as_it_is(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    # The host is not trained on the part that is evaluated later.
    earlier = tmp_path / "earlier"
    shutil.copytree(planted, earlier)
    log = pq.read_table(planted / "interactions.parquet")
    pq.write_table(log.slice(0, int(len(log) * 0.75)), earlier / "interactions.parquet")
    model, ids = example("torch_model").train(earlier)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quick = Config().quick()
    config = replace(
        quick,
        text=replace(quick.text, steps=60),
        ppm=replace(quick.ppm, epochs=6),
        unified=replace(quick.unified, epochs=3),
    )
    made = example("plug_ppm").plug(model, ids, planted, tmp_path / "run", config)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    # Items' colours are in texts and images alone: the host cannot know those of cold items.
    assert made.unified["auc"] > made.host["auc"]
    manifest = json.loads((tmp_path / "run" / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["graphs"]) >= {"text_encoder", "item_encoder", "user_encoder", "unified", "idrec"}
    assert np.isfinite(manifest["calibration"]["unified"]["click"]["a"])
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-4
