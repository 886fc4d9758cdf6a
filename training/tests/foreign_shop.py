"""A shop whose clicks and purchases follow numbers, lists and the situation: what foreign models are trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BRANDS = ("acme", "globex", "initech", "umbrella")
TAGS = ("new", "sale", "blue", "green", "red")
DEVICES = ("phone", "desktop")
HOUR_MS = 3_600_000
START_MS = 1_700_006_400_000


@dataclass(frozen=True)
class Impressions:
    """Impressions with what a model reads of them, by row; NaN and "" where something is missing."""

    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    price: np.ndarray
    brand: np.ndarray
    # One list a row.
    tags: list[list[str]]
    age: np.ndarray
    device: np.ndarray
    basket: np.ndarray
    bid: np.ndarray
    click: np.ndarray
    purchase: np.ndarray

    @property
    def hour(self) -> np.ndarray:
        """Hour of the day, UTC."""
        return (self.timestamp // HOUR_MS) % 24


def write_shop(folder: Path, items: int = 60, users: int = 50, shown: int = 3000, seed: int = 0) -> Impressions:
    """Write a dataset folder; gives its impressions."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    price = np.where(random.random(items) < 0.1, np.nan, np.round(np.exp(random.normal(3, 1, items)), 2))
    brand = np.array([BRANDS[n % len(BRANDS)] if n % 11 else "" for n in range(items)])
    tags = [list(random.choice(TAGS, size=n % 4, replace=False)) for n in range(items)]
    age = np.where(random.random(users) < 0.2, np.nan, random.integers(18, 80, users).astype(np.float64))
    user, item = random.integers(0, users, shown), random.integers(0, items, shown)
    timestamp = START_MS + np.sort(random.integers(0, 30 * 24 * HOUR_MS, shown))
    device = np.array([DEVICES[n] if n < 2 else "" for n in random.integers(0, 3, shown)])
    basket = np.where(random.random(shown) < 0.3, np.nan, np.round(random.exponential(40, shown), 2))
    bid = np.round(random.random(shown), 3)
    liking = (
        1.5 * np.sin(np.nan_to_num(price[item], nan=1.0) / 15)
        + 0.02 * (np.nan_to_num(age[user], nan=45) - 45)
        + np.array(["sale" in tags[n] for n in item]) * 1.0
        + (device == "phone") * ((timestamp // HOUR_MS) % 24 > 18) * 1.2
        + 1.5 * bid
        - 1.5
    )
    click = random.random(shown) < 1 / (1 + np.exp(-liking))
    purchase = click & (random.random(shown) < np.where(np.nan_to_num(basket) > 30, 0.7, 0.2))
    pq.write_table(
        pa.table(
            {
                "item_id": [f"i{n}" for n in range(items)],
                "title": [f"Thing {n}" for n in range(items)],
                "text": [""] * items,
                "categories": pa.array([[] for _ in range(items)], pa.list_(pa.string())),
                "price": pa.array(price, from_pandas=True),
                "brand": [value or None for value in brand],
                "tags": pa.array(tags, pa.list_(pa.string())),
            }
        ),
        folder / "items.parquet",
    )
    pq.write_table(
        pa.table({"user_id": [f"u{n}" for n in range(users)], "age": pa.array(age, from_pandas=True)}),
        folder / "users.parquet",
    )
    order = np.lexsort(([f"i{n}" for n in item], [f"u{n}" for n in user], timestamp))
    made = Impressions(
        *(column[order] for column in (user, item, timestamp)),
        price[item][order],
        brand[item][order],
        [tags[n] for n in item[order]],
        age[user][order],
        *(column[order] for column in (device, basket, bid, click, purchase)),
    )
    pq.write_table(
        pa.table(
            {
                "user_id": [f"u{n}" for n in made.user],
                "item_id": [f"i{n}" for n in made.item],
                "timestamp": made.timestamp,
                "label": made.click.astype(np.int8),
                "label_purchase": made.purchase.astype(np.int8),
                "device": [value or None for value in made.device],
                "basket": pa.array(made.basket, from_pandas=True),
                "bid": made.bid,
            }
        ),
        folder / "interactions.parquet",
    )
    meta = {"name": "Foreign shop", "time": "ms", "negatives": "logged"}
    (folder / "dataset.json").write_text(json.dumps(meta), encoding="utf-8")
    return made


def write_predictions(file: Path, shop: Impressions, score: np.ndarray, task: str = "") -> None:
    """What a model's own framework says of the impressions, as `parity` reads it."""
    prefix = f"{task}." if task else ""
    pq.write_table(
        pa.table(
            {
                "user_id": [f"u{n}" for n in shop.user],
                "item_id": [f"i{n}" for n in shop.item],
                "timestamp": shop.timestamp,
                f"{prefix}score": score.astype(np.float64),
                "context.device": [value or None for value in shop.device],
                "context.basket": pa.array(shop.basket, from_pandas=True),
                "candidate.bid": shop.bid,
            }
        ),
        file,
    )
