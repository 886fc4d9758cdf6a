"""Clicks that follow numbers: raw numbers rank at least as well as manual buckets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plugrank_training.cli import main

ITEMS, USERS, ROWS = 400, 200, 9000
DAY_MS = 86_400_000
# Typical manual buckets of prices, distances and ages.
EDGES = {"price": (5, 10, 20, 50, 100), "distance": (1, 5, 10, 25), "age": (25, 35, 50, 65)}


def bucket(name: str, values: np.ndarray) -> pa.Array:
    """The name of each value's bucket."""
    return pa.array([f"{name} {place}" for place in np.searchsorted(EDGES[name], values)])


def write(folder: Path, by_hand: bool) -> Path:
    """The same shop and the same clicks, its numbers as they are or in buckets."""
    random = np.random.default_rng(11)
    folder.mkdir(parents=True)
    price = np.exp(random.normal(3, 1, ITEMS))
    age = random.uniform(18, 80, USERS)
    user, item = random.integers(0, USERS, ROWS), random.integers(0, ITEMS, ROWS)
    distance = random.uniform(0, 40, ROWS)
    # The affordable price grows with age; short distances are preferred, most for cheap items.
    wanted = 1.5 + age / 25
    logit = 2.0 - 2.0 * np.abs(np.log(price[item]) - wanted[user]) - distance / 8
    label = (random.random(ROWS) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    time = np.sort(random.integers(0, 60 * DAY_MS, ROWS))
    numbers = {"price": price, "distance": distance, "age": age}
    columns = {name: bucket(name, values) if by_hand else pa.array(values) for name, values in numbers.items()}
    items = {
        "item_id": [f"i{n}" for n in range(ITEMS)],
        "title": [f"thing {n % 7}" for n in range(ITEMS)],
        "text": pa.nulls(ITEMS, pa.string()),
        "categories": pa.array([[] for _ in range(ITEMS)], pa.list_(pa.string())),
        "price": columns["price"],
    }
    pq.write_table(pa.table(items), folder / "items.parquet")
    pq.write_table(
        pa.table({"user_id": [f"u{n}" for n in range(USERS)], "age": columns["age"]}), folder / "users.parquet"
    )
    log = {
        "user_id": [f"u{n}" for n in user],
        "item_id": [f"i{n}" for n in item],
        "timestamp": pa.array(time + 1_700_000_000_000, pa.int64()),
        "label": label,
        "distance": columns["distance"],
    }
    pq.write_table(pa.table(log), folder / "interactions.parquet")
    meta = {"name": "Numbers", "time": "ms", "negatives": "logged"}
    (folder / "dataset.json").write_text(json.dumps(meta), encoding="utf-8")
    return folder


def auc_of(folder: Path, out: Path) -> float:
    """Of the host alone on the test part."""
    config = out.parent / "train.toml"
    config.write_text("[features.interactions.distance]\ncandidate = true\n", encoding="utf-8")
    arguments = ["train", "--dataset", str(folder), "--out", str(out), "--quick", "--models", "idrec"]
    assert main([*arguments, "--config", str(config)]) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found: float = report["idrec"]["test"]["auc"]
    return found


def test_numbers_rank_at_least_as_well_as_manual_buckets(tmp_path: Path) -> None:
    raw = auc_of(write(tmp_path / "raw", by_hand=False), tmp_path / "raw-run")
    by_hand = auc_of(write(tmp_path / "hand", by_hand=True), tmp_path / "hand-run")
    print(f"test AUC: numbers {raw:.4f}, buckets by hand {by_hand:.4f}")
    assert raw > 0.65, "there is a signal to be found"
    assert raw >= by_hand
