"""Numbers, lists, features of requests and candidates, and several tasks, from the folder to the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import expit
from torch import Tensor

from bundles import without_idrec_bundle
from planted import write_planted
from plugrank_training import Category, Features, RowModel, Rows, export_module
from plugrank_training.cli import main
from plugrank_training.config import load_config
from plugrank_training.data.catalog import item_features
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.examples import Examples
from plugrank_training.data.feature_rules import learn_columns
from plugrank_training.data.log_context import derived_feature, request_keys
from plugrank_training.data.problems import FolderError
from plugrank_training.data.raw_column import Numbers, Words
from plugrank_training.evaluate.bundle_scores import BundleScorer, Impressions
from plugrank_training.feature_config import ColumnConfig, ConfigError, FeaturesConfig
from plugrank_training.models.features import Feature
from plugrank_training.models.own_features import Number
from plugrank_training.models.transforms import Transform
from shops import valid_tables, write_folder


def test_transforms_are_those_of_the_format() -> None:
    values = np.array([-3.0, 0.0, 0.1, np.nan])
    assert np.allclose(Transform("log1p").numbers(values)[:2], [-np.log(4.0), 0.0])
    assert Transform("standard", 1.0, 2.0).numbers(values)[0] == np.float32(-2.0)
    assert Transform("none").numbers(values)[2] == np.float32(0.1)
    # A value at a boundary is above it; f32's 0.1 is above f64's.
    buckets = Transform("buckets", bounds=(-3.0, 0.0, 0.1))
    assert buckets.bucket_ids(values).tolist() == [2, 3, 4, 0]
    for one in (Transform("log1p"), Transform("standard", 1.0, 2.0), buckets):
        assert Transform.read(json.loads(json.dumps(one.manifest()))) == one
    with pytest.raises(ValueError, match="each above the one before"):
        Transform("buckets", bounds=(1.0, 1.0))


def test_rows_are_cut_and_padded() -> None:
    number = Feature.number("sizes", Transform(), length=2, missing=-1.0)
    lists = Numbers(np.array([[1.0, 2.0, 3.0], [4.0, np.nan, np.nan], [np.nan] * 3]))
    assert number.encode(lists, 3).tolist() == [[1.0, 2.0], [4.0, -1.0], [-1.0, -1.0]]
    assert number.encode(None, 2).tolist() == [[-1.0, -1.0]] * 2
    # A number in a category is decimal text.
    category = Feature.of("size", ["3", "0.5"])
    assert category.encode(Numbers(np.array([3.0, 0.5, 7.0, np.nan])), 4).tolist() == [2, 3, 1, 0]
    with pytest.raises(ValueError, match="holds text"):
        number.encode(Words.of(["a"]), 1)


def test_the_hour_is_derived_in_the_time_zone() -> None:
    hour, weekday = derived_feature("hour"), derived_feature("weekday")
    # Thursday, 1 January 1970, 23:30 UTC is Friday half past midnight in Paris.
    moment = np.array([int(23.5 * 3_600_000)])
    assert hour.derived(moment, "UTC").tolist() == [25]
    assert hour.derived(moment, "Europe/Paris").tolist() == [2]
    assert (weekday.derived(moment, "UTC").tolist(), weekday.derived(moment, "Europe/Paris").tolist()) == ([5], [6])


def test_columns_get_a_feature_type_by_their_values() -> None:
    random = np.random.default_rng(0)
    columns = {
        "skewed": Numbers(np.exp(random.normal(0, 2, 200))),
        "even": Numbers(random.uniform(0, 1, 200)),
        "stars": Numbers(random.integers(1, 6, 200).astype(float)),
        "age": Numbers(np.arange(200.0)),
        "tags": Words.of([["a", "b", "c"][: 1 + n % 3] for n in range(200)]),
    }
    # Values of rows that are not of training change nothing.
    columns["even"].values[100:] = 1e6
    found = {one.name: one for one in learn_columns("items", columns, {}, np.arange(100))}
    assert found["skewed"].transform == Transform("log1p")
    even = found["even"].transform
    assert even is not None
    assert even.kind == "standard"
    assert even.mean < 1.0
    assert (found["stars"].transform, found["stars"].values[:1]) == (None, found["stars"].values[:1])
    assert found["age"].is_number
    assert (found["tags"].length, sorted(found["tags"].values)) == (3, ["a", "b", "c"])
    chosen = {"age": ColumnConfig(transform="buckets", buckets=4), "even": ColumnConfig(kind="none")}
    told = {one.name: one for one in learn_columns("items", columns, chosen, np.arange(100))}
    assert "even" not in told
    assert told["age"].size == 5
    with pytest.raises(DatasetError, match=r"features\.items\.colour: items have no such column"):
        learn_columns("items", columns, {"colour": ColumnConfig()}, np.arange(100))
    with pytest.raises(DatasetError, match=r"features\.items\.tags\.kind"):
        learn_columns("items", columns, {"tags": ColumnConfig(kind="number")}, np.arange(100))


def test_columns_are_read_with_their_types(tmp_path: Path) -> None:
    tables = valid_tables()
    tables["items"] |= {
        "sizes": pa.array([[1, 2], [], [3]]),
        "big": pa.array([1 << 60, None, 1]),
        "new": [True, None, False],
    }
    tables["interactions"] |= {"device": ["x", None, "y"], "label_buy": pa.array([1.0, 0.0, None])}
    data = Dataset.load(write_folder(tmp_path, tables))
    columns = data.item_columns
    assert np.array_equal(columns["sizes"].values, [[1, 2], [np.nan, np.nan], [3, np.nan]], equal_nan=True)
    assert columns["big"].texts() == ["1152921504606846976", "", "1"]
    assert columns["new"].texts() == ["true", "", "false"]
    assert data.task_labels["buy"].tolist() == [1, 0, -1]
    # Requests of one user and time are told apart by what the log says of them.
    keys = request_keys(data, FeaturesConfig())
    assert keys is not None
    assert len(set(keys.tolist())) == 3
    tables["items"]["price"] = pa.array([1.0, float("inf"), 1e300])
    with pytest.raises(FolderError, match=r"column `price`, row 1: a number is infinite .* \(2 such rows") as caught:
        Dataset.load(write_folder(tmp_path, tables))
    assert ("items.parquet", "price", "range") in caught.value.keys


def test_the_configuration_names_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('[features.items.price]\ntransform = "buckets"\nbuckets = 8\n[tasks.weights]\nbuy = 0.5\n')
    config = load_config(path)
    assert config.features.items["price"] == ColumnConfig(transform="buckets", buckets=8)
    assert config.tasks.weights == {"buy": 0.5}
    for text, message in (
        ('[features.items.price]\nkind = "text"\n', r"features\.items\.price\.kind"),
        ("[features.users.age]\ncandidate = true\n", r"features\.users\.age\.candidate"),
        ('[features]\ntimezone = "Mars/North"\n', r"features\.timezone"),
        ('[features]\nderive = ["year"]\n', r"features\.derive"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(path)


def write_typed(folder: Path) -> Path:
    """The planted shop with further columns and a task whose labels are known for clicks alone."""
    write_planted(folder)
    random = np.random.default_rng(1)
    items = pq.read_table(folder / "items.parquet")
    items = items.append_column("price", pa.array(np.exp(random.normal(3, 1, items.num_rows))))
    items = items.append_column("tags", pa.array([["new", "sale"][: 1 + n % 2] for n in range(items.num_rows)]))
    pq.write_table(items, folder / "items.parquet")
    log = pq.read_table(folder / "interactions.parquet")
    label = log["label"].to_numpy()
    log = log.append_column("device", pa.array(random.choice(["phone", "desk"], log.num_rows)))
    log = log.append_column("distance", pa.array(random.uniform(0, 50, log.num_rows)))
    log = log.append_column("label_buy", pa.array(random.integers(0, 2, log.num_rows), pa.int8(), mask=label == 0))
    pq.write_table(log, folder / "interactions.parquet")
    return folder


def test_training_reads_and_exports_every_feature_type(tmp_path: Path) -> None:
    folder = write_typed(tmp_path / "data")
    config = tmp_path / "train.toml"
    config.write_text('[features]\nderive = ["hour"]\n[features.interactions.distance]\ncandidate = true\n')
    out = tmp_path / "out"
    with without_idrec_bundle():
        assert main(["train", "--dataset", str(folder), "--out", str(out), "--quick", "--config", str(config)]) == 0
    manifest = json.loads((out / "bundle" / "manifest.json").read_text())
    assert (manifest["format"], manifest["tasks"], manifest["timezone"]) == (2, ["click", "buy"], "UTC")
    features = manifest["features"]
    assert [one["name"] for one in features["request"]] == ["device", "hour"]
    assert features["request"][1]["derive"] == "hour"
    assert [(one["name"], one["kind"]) for one in features["candidate"]] == [("distance", "number")]
    price = next(one for one in features["item"] if one["name"] == "price")
    assert (price["kind"], price["observed"]) == ("number", {"missing": 0.0, "unknown": 0.0})
    for graph in ("unified", "idrec"):
        assert [port["name"] for port in manifest["graphs"][graph]["outputs"]] == ["click", "buy"]
        sources = {port["source"] for port in manifest["graphs"][graph]["inputs"]}
        assert {"request.feature.device", "candidate.given.distance"} <= sources
        assert set(manifest["calibration"][graph]) == {"click", "buy"}
    report = json.loads((out / "report.json").read_text())
    assert report["unified"]["tasks"]["buy"]["test"]["rows"] > 0
    names = pq.read_schema(out / "predictions" / "unified.parquet").names
    assert {"buy.label", "buy.score", "row"} <= set(names)
    again = ["train", "--dataset", str(folder), "--out", str(tmp_path / "next"), "--from", str(out / "bundle")]
    assert main([*again, "--days", "30"]) == 0
    later = json.loads((tmp_path / "next" / "bundle" / "manifest.json").read_text())
    grown = next(one for one in later["features"]["item"] if one["name"] == "price")
    assert grown["transform"] == price["transform"]


class TwoTasks(RowModel):
    """Reads every kind of feature and gives two logits."""

    output_dim = 2

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.item = torch.nn.Embedding(200, 3)
        self.device = torch.nn.Embedding(9, 3)
        self.out = torch.nn.Linear(8, 2)

    def forward(self, rows: Rows) -> Tensor:
        numbers = torch.stack([rows.item["price"], rows.candidate["distance"]], dim=-1)
        return self.out(
            torch.cat([self.item(rows.item["item_id"]), self.device(rows.request["device"]), numbers], dim=-1)
        )


def test_a_model_of_all_feature_types_equals_its_bundle(tmp_path: Path) -> None:
    data = Dataset.load(write_typed(tmp_path / "data"))
    price, distance = Transform("log1p"), Transform("standard", 20.0, 10.0)
    devices = {"phone": 5, "desk": 7}
    features = Features(
        {"item_id": Category(data.item_ids), "price": Number("price", price)},
        {"user_id": Category(data.user_ids)},
        clicks=5,
        request={"device": Category(devices, missing=1, unknown=2)},
        candidate={"distance": Number("distance", distance, missing=-1.0)},
        tasks=("click", "buy"),
    )
    model = TwoTasks()
    export_module(model, features, item_vector=None, out=tmp_path / "bundle")
    rows = np.arange(0, data.rows, 4)
    part = Examples.of(data, rows)
    scorer = BundleScorer(tmp_path / "bundle", data)
    asked = Impressions(part.user, part.item, part.timestamp, rows)
    log = data.log_columns
    given = Rows(
        item={
            "item_id": torch.from_numpy(part.item.astype(np.int64) + 2),
            "price": torch.from_numpy(price.numbers(data.item_columns["price"].values)[part.item]),
        },
        user={},
        history={},
        request={"device": torch.tensor([devices[log["device"].words[code]] for code in log["device"].codes[rows]])},
        candidate={"distance": torch.from_numpy(distance.numbers(log["distance"].values[rows]))},
        history_label=torch.zeros(0),
        history_age_bucket=torch.zeros(0),
        history_mask=torch.zeros(0),
    )
    with torch.no_grad():
        logits = model(given).numpy()
    for column, task in enumerate(features.tasks):
        assert np.abs(scorer.probabilities(asked, task) - expit(logits[:, column])).max() < 1e-5
    without = Impressions(part.user, part.item, part.timestamp)
    assert np.abs(scorer.probabilities(without) - scorer.probabilities(asked)).max() > 0.01


def test_feature_rules_are_learned_from_training_rows(tmp_path: Path) -> None:
    data = Dataset.load(write_typed(tmp_path / "data"))
    part = Examples.of(data, slice(0, 50))
    shown = np.unique(part.item)
    price = next(one for one in item_features(data, part, load_config(None)) if one.name == "price")
    values = price.transform.numbers(data.item_columns["price"].values[shown]) if price.transform else np.zeros(1)
    assert (price.corners[0], price.corners[-1]) == (values.min(), values.max())
