"""Models that their own frameworks trained, to the answer of `POST /v1/rank`: numbers, lists, the request's context,
what was done before, two tasks. Two of the three paths of docs/serve-your-own-model.md, each by its script; FuxiCTR's
is in test_from_fuxictr.py.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from examples import example, own_lines, run_script
from foreign_log import ForeignRun, run_foreign
from foreign_shop import BRANDS, DEVICES, TAGS, Impressions, write_predictions, write_shop
from plugrank_training import Category, Features, Number, RowModel, Rows, Transform, export_module
from plugrank_training.cli import main
from server import needs_server, served

ROWS = "1000"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Impressions]:
    folder = tmp_path_factory.mktemp("shop") / "set"
    made = write_shop(folder)
    # Action and value: a purchase has the price of the item.
    log = pq.read_table(folder / "interactions.parquet")
    done = np.where(made.purchase, "buy", np.where(made.click, "click", "view"))
    spent = pa.array(np.where(made.purchase, np.nan_to_num(made.price, nan=1.0), np.nan), from_pandas=True)
    log = log.append_column("action", pa.array(done)).append_column("value", spent)
    pq.write_table(log, folder / "interactions.parquet")
    return folder, made


@pytest.fixture(scope="module")
def foreign_run(tmp_path_factory: pytest.TempPathFactory) -> ForeignRun:
    """What `foreign_log.py` says."""
    return run_foreign(tmp_path_factory.mktemp("foreign"))


def compared(capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
    """`parity` over 1,000 impressions, which fails above 1e-4."""
    capsys.readouterr()
    assert main(["parity", *arguments, "--rows", ROWS, "--budget-ms", "20000"]) == 0
    told = capsys.readouterr().out
    print(told)
    assert "1000 impressions, largest difference" in told


@needs_server
def test_trees_of_two_tasks(shop: tuple[Path, Impressions], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, impressions = shop
    script = example("onnx_model")
    run_script("onnx_model", dataset, tmp_path / "out")
    rows, labels = script.rows_of(dataset)
    models = script.train(rows, labels, tmp_path / "again.onnx")
    with served(tmp_path / "out" / "bundle", dataset, tmp_path / "server") as url:
        for task, model in models.items():
            own = model.predict_proba(rows)[:, 1]
            assert own.max() - own.min() > 0.3
            write_predictions(tmp_path / "scores.parquet", impressions, own, task)
            compared(capsys, str(tmp_path / "scores.parquet"), "--url", url, "--task", task)
    assert own_lines("onnx_model") <= 30


class Net(nn.Module):
    """A network of clicks and purchases that reads every kind of value, with ids of its own that begin at 1."""

    def __init__(self, items: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.item, self.brand = nn.Embedding(items + 2, 8), nn.Embedding(len(BRANDS) + 2, 4)
        self.tag, self.device = nn.Embedding(len(TAGS) + 2, 4, padding_idx=0), nn.Embedding(len(DEVICES) + 2, 2)
        self.action = nn.Embedding(5, 3)
        self.layers = nn.Sequential(nn.Linear(8 + 4 + 4 + 2 + 12 + 4, 32), nn.Tanh(), nn.Linear(32, 2))

    def forward(
        self, item: Tensor, brand: Tensor, tags: Tensor, device: Tensor, numbers: Tensor, past: tuple[Tensor, ...]
    ) -> Tensor:
        """Ids int64 `[n]`, tags `[n, 3]`, numbers f32 `[n, 4]`; of the past items, actions, values, mask `[n, L]`."""
        items, actions, values, mask = past
        told = torch.cat([self.item(items), self.action(actions), values.unsqueeze(-1)], dim=-1) * mask.unsqueeze(-1)
        before = told.sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)
        tag = self.tag(tags).sum(1)
        parts = [self.item(item), self.brand(brand), tag, self.device(device), before, numbers]
        return self.layers(torch.cat(parts, dim=-1))


class Hosted(RowModel):
    output_dim = 2

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, rows: Rows) -> Tensor:
        numbers = [rows.item["price"], rows.user["age"], rows.request["basket"], rows.candidate["bid"]]
        past = (rows.history["item"], rows.past["action"], rows.past["value"], rows.history_mask)
        return self.net(
            rows.item["item"], rows.item["brand"], rows.item["tags"], rows.request["device"],
            torch.stack(numbers, dim=-1), past,
        )  # fmt: skip


ACTIONS = {"view": 1, "click": 2, "buy": 3}
LENGTH = 6


def own_ids(values: list[str]) -> dict[str, int]:
    return {value: place for place, value in enumerate(values, 1)}


def features_of(items: int) -> Features:
    def category(values: list[str], column: str, length: int = 1) -> Category:
        return Category(own_ids(values), column, length, missing=0, unknown=len(values) + 1)

    return Features(
        {
            "item": category([f"i{n}" for n in range(items)], "item_id"),
            "brand": category(list(BRANDS), "brand"),
            "tags": category(list(TAGS), "tags", 3),
            "price": Number("price", Transform("log1p"), missing=-1.0),
        },
        {"age": Number("age", Transform("standard", 45.0, 15.0))},
        clicks=LENGTH,
        impressions=LENGTH,
        request={"device": category(list(DEVICES), "device"), "basket": Number("basket", Transform("log1p"))},
        candidate={"bid": Number("bid")},
        tasks=("click", "purchase"),
        history={
            "action": Category(ACTIONS, "action", missing=0, unknown=4),
            "value": Number("value", Transform("log1p")),
        },
    )


def rows_of(shop: Impressions, dataset: Path) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, tuple[Tensor, ...]]:
    """What `Net` reads of every impression, made without Plugrank."""
    log = pq.read_table(dataset / "interactions.parquet").to_pylist()
    items, actions = np.zeros((len(log), 2 * LENGTH), np.int64), np.zeros((len(log), 2 * LENGTH), np.int64)
    values, mask = np.zeros(items.shape, np.float32), np.zeros(items.shape, np.float32)
    by_user: dict[str, list[int]] = {}
    for row, event in enumerate(log):
        seen = by_user.setdefault(event["user_id"], [])
        before = [place for place in seen if log[place]["timestamp"] < event["timestamp"]]
        for label in (0, 1):
            kept = [place for place in before if log[place]["label"] == label][-LENGTH:]
            start = label * LENGTH
            for at, place in enumerate(kept):
                items[row, start + at] = int(log[place]["item_id"][1:]) + 1
                actions[row, start + at] = ACTIONS[log[place]["action"]]
                values[row, start + at] = np.log1p(np.float32(log[place]["value"] or 0.0))
                mask[row, start + at] = 1.0
        seen.append(row)
    tags = np.zeros((len(log), 3), np.int64)
    for row, found in enumerate(shop.tags):
        tags[row, : len(found[:3])] = [TAGS.index(tag) + 1 for tag in found[:3]]

    def ids(known: tuple[str, ...], found: np.ndarray) -> Tensor:
        return torch.tensor([known.index(value) + 1 if value else 0 for value in found.tolist()])

    numbers = [
        np.where(np.isnan(shop.price), -1.0, np.log1p(shop.price.astype(np.float32))),
        np.where(np.isnan(shop.age), 0.0, (shop.age - 45) / 15),
        np.where(np.isnan(shop.basket), 0.0, np.log1p(shop.basket.astype(np.float32))),
        shop.bid,
    ]
    past = tuple(torch.from_numpy(each) for each in (items, actions, values, mask))
    return (
        torch.from_numpy(shop.item + 1), ids(BRANDS, shop.brand), torch.from_numpy(tags), ids(DEVICES, shop.device),
        torch.from_numpy(np.stack(numbers, axis=1).astype(np.float32)), past,
    )  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A trained `Net` as a bundle, and its own probabilities of every impression, `[n, tasks]`."""

    bundle: Path
    own: np.ndarray


@pytest.fixture(scope="module")
def network(shop: tuple[Path, Impressions], tmp_path_factory: pytest.TempPathFactory) -> Network:
    dataset, impressions = shop
    net, given = Net(60), rows_of(impressions, dataset)
    labels = torch.from_numpy(np.stack([impressions.click, impressions.purchase], axis=1).astype(np.float32))
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(net(*given), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    bundle = tmp_path_factory.mktemp("network") / "bundle"
    export_module(Hosted(net), features_of(60), item_vector=net.item, out=bundle)
    with torch.no_grad():
        return Network(bundle, net(*given).sigmoid().numpy())


@pytest.mark.parametrize("asked", ["graphs", pytest.param("server", marks=needs_server)])
def test_a_network_of_two_tasks_with_a_past(
    asked: str, shop: tuple[Path, Impressions], network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, impressions = shop
    scores = tmp_path / "scores.parquet"
    with ExitStack() as stack:
        where = ["--bundle", str(network.bundle), "--dataset", str(dataset)]
        if asked == "server":
            where = ["--url", stack.enter_context(served(network.bundle, dataset, tmp_path / "server"))]
        for column, task in enumerate(("click", "purchase")):
            assert network.own[:, column].std() > 0.05
            write_predictions(scores, impressions, network.own[:, column], task)
            compared(capsys, str(scores), *where, "--task", task)


def test_a_foreign_log_of_twenty_columns_becomes_a_report(foreign_run: ForeignRun) -> None:
    """One file of somebody's warehouse, one `convert`, one `train`: what docs/examples/our_training.py does."""
    assert foreign_run.columns == 20
    assert re.search(r"items.parquet +brand .*feature `brand`, 4 values", foreign_run.printed), foreign_run.printed
    run = foreign_run.out
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert report["unified"]["tasks"]["purchase"]["test"]["rows"] > 0
    manifest = json.loads((run / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    names = {side: {one["column"] for one in found} for side, found in manifest["features"].items()}
    assert {"price", "rating", "tags", "brand", "categories"} <= names["item"]
    assert {"age", "city"} <= names["user"]
    assert (names["request"], names["history"]) == ({"device", "country", "basket"}, {"action", "value"})
    assert manifest["tasks"] == ["click", "purchase"]
    sources = {port["source"] for port in manifest["graphs"]["user_encoder"]["inputs"]}
    assert {"history.action", "history.value"} <= sources


@needs_server
def test_our_training_of_a_foreign_log(
    foreign_run: ForeignRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, dataset = foreign_run.out, foreign_run.out / "dataset"
    bundle, predictions = out / "bundle", out / "predictions" / "unified.parquet"
    with served(bundle, dataset, tmp_path / "server") as url:
        for task in ("click", "purchase"):
            capsys.readouterr()
            asked = ["parity", str(predictions), "--url", url, "--bundle", str(bundle), "--dataset", str(dataset)]
            assert main([*asked, "--task", task, "--rows", ROWS, "--budget-ms", "20000"]) == 0
            told = capsys.readouterr().out
            print(told)
            # Those of items that are out of stock are not ranked.
            assert "impressions, largest difference" in told
