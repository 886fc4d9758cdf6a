"""A small made-up data set with a signal that can be found: users like one colour and refuse the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 50, 200), "yellow": (210, 200, 40)}
NOUNS = ("lamp", "chair", "shirt", "kettle", "book", "bag")
ITEMS, COLD, USERS, SHOWN = 96, 24, 120, 40
DAY_MS = 86_400_000


def colour_of(item: int) -> str:
    """The colour of an item decides who likes it."""
    return list(COLOURS)[item % len(COLOURS)]


def write_planted(folder: Path, seed: int = 0) -> Path:
    """Write the dataset folder. The last `COLD` items are shown only in the last tenth of the time."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    titles, texts, images = [], [], []
    for item in range(ITEMS):
        colour, noun = colour_of(item), NOUNS[item % len(NOUNS)]
        titles.append(f"{colour} {noun}")
        texts.append(f"A {colour} {noun}, number {item}." if item % 7 else "")
        path = f"images/{item}.png" if item % 5 else None
        if path:
            Image.new("RGB", (24, 32), COLOURS[colour]).save(folder / path)
        images.append(path)
    items = {
        "item_id": [f"i{n + 1}" for n in range(ITEMS)],
        "title": titles,
        "text": texts,
        # Not the colour: only text and image tell it.
        "categories": pa.array([[NOUNS[n % len(NOUNS)]] for n in range(ITEMS)], pa.list_(pa.string())),
        "image": pa.array(images, pa.string()),
        "created_at": pa.array([None] * ITEMS, pa.int64()),
        "brand": [("acme", "globex")[n % 2] for n in range(ITEMS)],
    }
    pq.write_table(pa.table(items), folder / "items.parquet")
    users = {"user_id": [f"u{n + 1}" for n in range(USERS)], "gender": [("f", "m", "")[n % 3] for n in range(USERS)]}
    pq.write_table(pa.table(users), folder / "users.parquet")
    count = USERS * SHOWN
    times = np.sort(random.integers(0, 100 * DAY_MS, count))
    user = random.integers(0, USERS, count)
    late = times >= np.quantile(times, 0.9)
    item = np.where(
        late & (random.random(count) < 0.5),
        random.integers(ITEMS - COLD, ITEMS, count),
        random.integers(0, ITEMS - COLD, count),
    )
    liked = item % len(COLOURS) == user % len(COLOURS)
    label = random.random(count) < np.where(liked, 0.85, 0.15)
    order = np.lexsort((item, user, times))
    events = {
        "user_id": [f"u{n + 1}" for n in user[order]],
        "item_id": [f"i{n + 1}" for n in item[order]],
        "timestamp": pa.array(times[order], pa.int64()),
        "label": pa.array(label[order].astype(np.int8), pa.int8()),
    }
    pq.write_table(pa.table(events), folder / "interactions.parquet")
    meta = {"name": "Planted set", "time": "ms", "negatives": "logged"}
    (folder / "dataset.json").write_text(json.dumps(meta), encoding="utf-8")
    return folder


def write_clicks(folder: Path, seed: int = 0, clicks: int = 24) -> Path:
    """The same items, and of every user only clicks in their order: mostly of the colour of the click before.

    What is clicked next is told by the content of the newest click, and by which items are clicked close together.
    """
    write_planted(folder, seed)
    random = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        left = set(range(ITEMS))
        item = int(random.integers(ITEMS))
        for place in range(clicks):
            rows.append((place, user, item))
            left.discard(item)
            alike = sorted(other for other in left if other % len(COLOURS) == item % len(COLOURS))
            chosen = alike if alike and random.random() < 0.85 else sorted(left)
            item = int(chosen[random.integers(len(chosen))])
    time, user, item = np.array(rows).T
    order = np.lexsort((item, user, time))
    events = {
        "user_id": [f"u{n + 1}" for n in user[order]],
        "item_id": [f"i{n + 1}" for n in item[order]],
        "timestamp": pa.array(time[order], pa.int64()),
        "label": pa.array(np.ones(len(order), dtype=np.int8), pa.int8()),
    }
    pq.write_table(pa.table(events), folder / "interactions.parquet")
    meta = {"name": "Planted clicks", "time": "order", "negatives": "matched"}
    (folder / "dataset.json").write_text(json.dumps(meta), encoding="utf-8")
    return folder
