"""Made-up data sets, in memory and as folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plugrank_training.data.dataset import Dataset, Meta
from plugrank_training.data.ids import shortlex_rank


def random_dataset(
    seed: int, users: int = 20, items: int = 30, rows: int = 600, *, time: str = "ms", negatives: str = "logged"
) -> Dataset:
    """Random interactions with many equal timestamps; ids are not in the order of their rows.

    The first and the last user have no interactions.
    """
    random = np.random.default_rng(seed)
    item_ids = [f"i{number}" for number in random.permutation(items) + 1]
    user_ids = [f"u{number}" for number in random.permutation(users) + 1]
    user = random.integers(1, users - 1, rows).astype(np.int32)
    item = random.integers(0, items, rows).astype(np.int32)
    timestamp = random.integers(0, max(2, rows // 8), rows).astype(np.int64) * 700
    label = random.integers(0, 2, rows).astype(np.int8)
    if negatives == "matched":
        label[:] = 1
    item_rank, user_rank = shortlex_rank(item_ids), shortlex_rank(user_ids)
    if time == "order":
        # Positions within each user's sequence, each item at most once in it.
        keep = np.unique(user.astype(np.int64) * items + item, return_index=True)[1]
        random.shuffle(keep)
        user, item, label = user[keep], item[keep], label[keep]
        timestamp = np.array([int((user[:row] == user[row]).sum()) for row in range(len(user))], dtype=np.int64)
    order = np.lexsort((item_rank[item], user_rank[user], timestamp))
    return Dataset(
        folder=Path("nowhere"),
        meta=Meta("made-up", time, negatives),
        item_ids=item_ids,
        titles=[""] * items,
        texts=[""] * items,
        categories=[[] for _ in range(items)],
        images=[None] * items,
        item_columns={},
        user_ids=user_ids,
        user_columns={},
        user=user[order],
        item=item[order],
        timestamp=timestamp[order],
        label=label[order],
        item_rank=item_rank,
        user_rank=user_rank,
    )


def valid_tables() -> dict[str, dict[str, Any]]:
    """Columns of a small valid folder, by file, for a test to change."""
    return {
        "items": {
            "item_id": ["2", "10", "a"],
            "title": ["Two", "Ten", None],
            "text": ["", None, "words"],
            "categories": [["x", "y"], [], None],
            "image": ["images/2.png", None, None],
            "created_at": pa.array([5, None, None], pa.int64()),
            "brand": ["acme", None, "globex"],
            "price": pa.array([1.0, 2.0, 3.0]),
        },
        "users": {"user_id": ["u2", "u10"], "gender": ["F", None]},
        "interactions": {
            "user_id": ["u10", "u2", "u10"],
            "item_id": ["2", "2", "10"],
            "timestamp": pa.array([100, 200, 200], pa.int64()),
            "label": pa.array([1, 0, 1], pa.int8()),
        },
    }


def write_folder(folder: Path, tables: dict[str, dict[str, Any]], **meta: Any) -> Path:
    """Write the tables and `dataset.json`; an entry of `meta` that is None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "2.png").write_bytes(b"not decoded here")
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    values = {"name": "made-up", "time": "ms", "negatives": "logged"} | meta
    (folder / "dataset.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    return folder
