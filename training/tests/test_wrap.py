"""Foreign ONNX models in bundles: trees through onnxmltools, a network with several inputs and tasks."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from foreign_shop import BRANDS, DEVICES, TAGS, Impressions, write_predictions, write_shop
from plugrank_training.cli import main
from plugrank_training.export.onnx_files import ExportError
from plugrank_training.export.wrap import wrap

TREES = """
name = "trees"
[model.inputs]
input = ["price", "brand", "age", "hour", "basket", "bid"]
[model.outputs.click]
output = "probabilities"
column = 1
[item.price]
missing = nan
[item.brand]
values = ["acme", "globex", "initech", "umbrella"]
first = 0
missing = -1
unknown = -1
[user.age]
missing = nan
[request.hour]
derive = "hour"
[request.basket]
missing = nan
[candidate.bid]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Impressions]:
    folder = tmp_path_factory.mktemp("shop") / "set"
    return folder, write_shop(folder)


def tree_rows(shop: Impressions) -> np.ndarray:
    brands = {brand: number for number, brand in enumerate(BRANDS)}
    brand = np.array([brands.get(value, -1) for value in shop.brand])
    return np.column_stack([shop.price, brand, shop.age, shop.hour, shop.basket, shop.bid]).astype(np.float32)


def write_trees(shop: Impressions, file: Path) -> np.ndarray:
    """A LightGBM model as ONNX; gives its own probabilities."""
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    rows = tree_rows(shop)
    model = lightgbm.LGBMClassifier(n_estimators=30, num_leaves=15, verbose=-1, num_threads=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows, shop.click.astype(np.int64))
        converted = convert_lightgbm(
            model, initial_types=[("input", FloatTensorType([None, rows.shape[1]]))], zipmap=False, target_opset=15
        )
        file.write_bytes(converted.SerializeToString())
        probability: np.ndarray = model.predict_proba(rows)[:, 1]
    return probability


def test_trees_are_served_as_lightgbm_scores_them(
    shop: tuple[Path, Impressions], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, impressions = shop
    own = write_trees(impressions, tmp_path / "trees.onnx")
    (tmp_path / "features.toml").write_text(TREES, encoding="utf-8")
    out = tmp_path / "bundle"
    made = ["wrap", str(tmp_path / "trees.onnx"), "--features", str(tmp_path / "features.toml"), "--out", str(out)]
    assert main(made) == 0
    assert "trees-" in capsys.readouterr().out
    assert own.max() - own.min() > 0.3
    write_predictions(tmp_path / "scores.parquet", impressions, own)
    compared = ["parity", str(tmp_path / "scores.parquet"), "--bundle", str(out), "--dataset", str(dataset)]
    assert main([*compared, "--rows", "1000"]) == 0
    assert "1000 impressions" in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert "retrieval" not in manifest
    sources = [port["source"] for port in manifest["graphs"]["unified"]["inputs"]]
    assert sources == [
        "candidate.feature.price",
        "candidate.feature.brand",
        "user.state.age",
        "request.feature.hour",
        "request.feature.basket",
        "candidate.given.bid",
    ]


class TwoTasks(nn.Module):
    """A network with an input for each feature, a list among them, and a logit for each of two tasks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tag, self.device = nn.Embedding(len(TAGS) + 2, 4), nn.Embedding(len(DEVICES) + 2, 2)
        self.layers = nn.Sequential(nn.Linear(4 + 2 + 3, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, price: Tensor, tags: Tensor, age: Tensor, device: Tensor, bid: Tensor) -> tuple[Tensor, Tensor]:
        there = (tags > 0).float().unsqueeze(-1)
        tag = (self.tag(tags) * there).sum(1)
        numbers = torch.stack([price.clamp(min=0).log1p(), (age - 40) / 20, bid], dim=1)
        made = self.layers(torch.cat([tag, self.device(device), numbers], dim=1))
        return made[:, 0], made[:, 1]


NETWORK = """
name = "network"
[model.outputs.click]
output = "click_logit"
is = "logit"
[model.outputs.purchase]
output = "purchase_logit"
is = "logit"
[item.price]
missing = 5.0
[item.tags]
values = ["new", "sale", "blue", "green", "red"]
length = 3
[user.age]
missing = 40
[request.device]
vocab = "devices.txt"
[candidate.bid]
"""


def write_network(shop: Impressions, folder: Path) -> dict[str, np.ndarray]:
    """The network as ONNX with what is said of it; gives its own probabilities by task."""
    model = TwoTasks().eval()
    tags = torch.zeros(len(shop.user), 3, dtype=torch.int64)
    for row, values in enumerate(shop.tags):
        for place, value in enumerate(values[:3]):
            tags[row, place] = TAGS.index(value) + 2
    devices = {"": 0, **{device: number + 2 for number, device in enumerate(DEVICES)}}
    rows = (
        torch.from_numpy(np.nan_to_num(shop.price, nan=5.0)).float(),
        tags,
        torch.from_numpy(np.nan_to_num(shop.age, nan=40.0)).float(),
        torch.tensor([devices[value] for value in shop.device]),
        torch.from_numpy(shop.bid).float(),
    )
    folder.mkdir()
    batch = torch.export.Dim("rows")
    torch.onnx.export(
        model,
        rows,
        folder / "network.onnx",
        input_names=["price", "tags", "age", "device", "bid"],
        output_names=["click_logit", "purchase_logit"],
        dynamic_shapes=({0: batch},) * 5,
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    (folder / "features.toml").write_text(NETWORK, encoding="utf-8")
    (folder / "devices.txt").write_text("".join(f"{device}\n" for device in DEVICES), encoding="utf-8")
    with torch.no_grad():
        return {task: made.sigmoid().numpy() for task, made in zip(("click", "purchase"), model(*rows), strict=True)}


def test_a_network_of_two_tasks_and_an_input_for_each_feature(
    shop: tuple[Path, Impressions], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, impressions = shop
    own = write_network(impressions, tmp_path / "network")
    manifest = wrap(tmp_path / "network" / "network.onnx", tmp_path / "network" / "features.toml", tmp_path / "bundle")
    assert manifest["tasks"] == ["click", "purchase"]
    for task, probability in own.items():
        write_predictions(tmp_path / "scores.parquet", impressions, probability, task)
        compared = ["parity", str(tmp_path / "scores.parquet"), "--bundle", str(tmp_path / "bundle")]
        assert main([*compared, "--dataset", str(dataset), "--task", task, "--rows", "1000"]) == 0
        assert "1000 impressions" in capsys.readouterr().out


def tiny(folder: Path, shape: list[str | int], kind: int = TensorProto.FLOAT) -> Path:
    """A model that gives what it is given."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    file = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


@pytest.mark.parametrize(
    ("shape", "kind", "text", "message"),
    [
        (
            ["n", 2],
            TensorProto.FLOAT,
            '[model.inputs]\nx = ["price"]\n[item.price]\n',
            "has 2 columns, and 1 are given",
        ),
        ([4, 1], TensorProto.FLOAT, '[model.inputs]\nx = ["price"]\n[item.price]\n', "its first dimension is fixed"),
        (["n", 1], TensorProto.STRING, '[model.inputs]\nx = ["price"]\n[item.price]\n', "is string"),
        (["n", 1], TensorProto.FLOAT, '[model.inputs]\nz = ["price"]\n[item.price]\n', "has no input `z`"),
        (["n", 1], TensorProto.FLOAT, '[model.inputs]\nx = ["prise"]\n[item.price]\n', "there is no feature `prise`"),
        (["n", 1], TensorProto.FLOAT, "[item.price]\n", "the model's inputs are x, the features price"),
        (["n", 1], TensorProto.FLOAT, '[model.inputs]\nx = ["age"]\n[user.age]\n', r"has no \[item.NAME\]"),
        (["n", 1], TensorProto.FLOAT, '[model.inputs]\nx = ["price"]\n[item.price]\n[item.age]\n', "stands in none"),
        (["n", 1], TensorProto.FLOAT, "[item.price]\nlenght = 2\n", "has `lenght`; there are"),
        (["n", 1], TensorProto.FLOAT, "[item.x]\n[model.outputs.click]\noutput = 'p'\n", "has no output `p`"),
        (["n", 1], TensorProto.FLOAT, "[item.x]\nderive = 'hour'\n", "of features of the request"),
        (["n", 1], TensorProto.FLOAT, "[item.x]\nvalues = ['a', 'a']\n", "a value twice"),
    ],
)
def test_mismatched_inputs_and_features_are_named(
    shape: list[str | int], kind: int, text: str, message: str, tmp_path: Path
) -> None:
    file = tiny(tmp_path, shape, kind)
    (tmp_path / "features.toml").write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, ExportError), match=message):
        wrap(file, tmp_path / "features.toml", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
