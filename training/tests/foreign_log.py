"""A wide table as warehouses keep click logs, and the training that docs/examples/our_training.py makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bundles import without_idrec_bundle
from examples import run_script


@dataclass(frozen=True)
class ForeignRun:
    """What was made of it: `out` has `dataset`, `bundle`, `predictions` and the report."""

    columns: int
    out: Path
    # What `convert` and `train` said.
    printed: str


def run_foreign(folder: Path) -> ForeignRun:
    """One `convert` and one `train`."""
    columns = write_foreign_log(folder / "clicks.parquet")
    (folder / "log.toml").write_text(FOREIGN_MAP, encoding="utf-8")
    with without_idrec_bundle():
        _, printed = run_script("our_training", folder / "log.toml", folder / "run")
    return ForeignRun(columns, folder / "run", printed)


FOREIGN_MAP = """\
name = "warehouse"
user_id = "visitor_key"
item_id = "sku"
timestamp = "event_time"
keep = ["device", "country"]
numbers = "basket"
action = "event"
value = "revenue"
[log]
files = "clicks.parquet"
[label]
column = "event"
positive = ["click", "cart", "buy"]
ignored = "heartbeat"
[tasks.purchase]
column = "event"
positive = "buy"
[items]
title = "product"
text = "description"
categories = "path"
categories_separator = " > "
available = "in_stock"
created_at = { column = "listed_on" }
features = ["brand", "tags"]
numbers = ["price", "rating"]
[users]
features = "city"
numbers = "age"
"""


def write_foreign_log(path: Path, rows: int = 3000) -> int:
    """A wide table as warehouses keep it, in no order, with rows that are no use; gives its columns."""
    random = np.random.default_rng(5)
    sku, visitor = random.integers(0, 80, rows), random.integers(0, 60, rows)
    price = np.round(np.exp(random.normal(3, 1, 80)), 2)
    liked = (sku % 4 == visitor % 4) + (price[sku] < 20)
    event = np.where(random.random(rows) < 0.15 + 0.3 * liked, "click", "view").astype(object)
    event[(event == "click") & (random.random(rows) < 0.4)] = "buy"
    event[random.random(rows) < 0.02] = "heartbeat"
    brands, tags = ("acme", "globex", "initech", "umbrella"), ("new", "sale", "blue")
    frame = pd.DataFrame(
        {
            "event_id": np.arange(rows),
            "event_time": pd.Timestamp("2026-09-01", tz="Europe/Lisbon")
            + pd.to_timedelta(random.integers(0, 60 * 86400, rows), "s"),
            "event": pd.Categorical(event),
            "visitor_key": visitor.astype(np.int64) + 10**12,
            "sku": [f"SKU-{n:04}" for n in sku],
            "product": [f"{brands[n % 4]} thing {n}" for n in sku],
            "description": [None if n % 9 == 0 else f"A thing of {brands[n % 4]}, kind {n % 5}." for n in sku],
            "path": [f"home > kind {n % 5}" for n in sku],
            "brand": pd.Categorical([brands[n % 4] for n in sku]),
            "tags": [list(tags[: n % 4]) for n in sku],
            "price": price[sku],
            "rating": np.where(sku % 7 == 0, np.nan, 1 + sku % 5).astype(np.float32),
            "in_stock": sku % 11 > 0,
            "listed_on": [pd.Timestamp("2026-01-01").date()] * rows,
            "device": random.choice(["phone", "desk", None], rows),
            "country": [("PT", "DE", "NL")[n % 3] for n in visitor],
            "basket": np.where(random.random(rows) < 0.3, np.nan, np.round(random.exponential(40, rows), 2)),
            "age": (18 + visitor % 50).astype(np.int16),
            "city": [f"city {n % 6}" for n in visitor],
            "revenue": np.where(event == "buy", price[sku], np.nan),
        }
    )
    frame.sample(frac=1.0, random_state=1).to_parquet(path, index=False, compression="zstd")
    return frame.shape[1]
