"""A shop as FuxiCTR's LongCTR models read it, trained by FuxiCTR itself, and the same shop as a dataset folder."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ITEMS, USERS, ROWS, LENGTH = 60, 40, 2400, 10
BRANDS = ("acme", "globex", "initech", "umbrella")
SIZES = {"user_id": USERS, "item_id": ITEMS, "brand": len(BRANDS), "cate_id": 5}
SOURCES = {
    "user_id": "user", "gender": "user", "item_id": "item", "brand": "item", "cate_id": "item", "tags": "item",
    "device": "context",
}  # fmt: skip
# Numbers, and whose they are, normalized by this mean and deviation.
# FuxiCTR's loader reads numbers of items alone: one among the rows would make floats of its indices.
NUMBERS = {"price": "item"}
MEAN, DEVIATION = 20.0, 12.5
TAGS = ("new", "sale", "blue", "late")
PARAMS: dict[str, dict[str, Any]] = {
    "DIN": {"dnn_hidden_units": [32, 16], "attention_hidden_units": [16]},
    "DCNv2": {"parallel_dnn_hidden_units": [32, 16]},
    "FinalMLP": {"mlp1_hidden_units": [32], "mlp2_hidden_units": [32], "use_fs": False},
}
T0 = 1_795_000_000_000


@dataclass(frozen=True)
class FuxiShop:
    """Where everything lies, and the impressions in the order of the log."""

    dataset: Path
    data: Path
    # user_id, item_id, timestamp, label of each impression, and how many of the user's clicks were before it.
    events: pd.DataFrame


def vocabulary(values: list[str]) -> dict[str, int]:
    """As FuxiCTR's tokenizer builds it: from 1, by frequency, then by text; the unknown one last."""
    counts = pd.Series([value for value in values if value]).value_counts()
    words = sorted(counts.index, key=lambda word: (-counts[word], word))
    made = {word: place for place, word in enumerate(words, 1)}
    return {"__PAD__": 0, **made, "__OOV__": len(words) + 1}


def write_fuxi_shop(folder: Path) -> FuxiShop:
    """Write the dataset folder and FuxiCTR's files of the same shop."""
    random = np.random.default_rng(3)
    items = pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(ITEMS)],
            # Some without a brand, and the last ones of a brand that the vocabulary does not have.
            "brand": [None if n % 7 == 0 else "late" if n > 55 else BRANDS[n % 4] for n in range(ITEMS)],
            "cate_id": [f"c{n % 5}" for n in range(ITEMS)],
            "tags": [list(TAGS[: n % 5]) for n in range(ITEMS)],
            "price": [None if n % 8 == 0 else round(float(p), 2) for n, p in enumerate(random.uniform(2, 40, ITEMS))],
        }
    )
    users = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(USERS)],
            "gender": [("f", "m", None)[n % 3] for n in range(USERS)],
        }
    )
    user, item = random.integers(0, USERS, ROWS), random.integers(0, ITEMS, ROWS)
    time = T0 + np.sort(random.integers(0, 40_000, ROWS)) * 60_000
    label = random.random(ROWS) < np.where(item % 4 == user % 4, 0.7, 0.15)
    events = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in user],
            "item_id": [f"i{n}" for n in item],
            "timestamp": time,
            "label": label.astype(int),
            "device": random.choice(["phone", "desk", "late"], ROWS),
        }
    )
    key = events.user_id.str.len(), events.item_id.str.len()
    events = events.assign(a=key[0], b=key[1]).sort_values(["timestamp", "a", "user_id", "b", "item_id"])
    events = events.drop(columns=["a", "b"]).reset_index(drop=True)
    write_dataset(folder / "dataset", items, users, events)
    events["seq_len"] = write_fuxictr(folder / "fuxictr", items, users, events)
    return FuxiShop(folder / "dataset", folder / "fuxictr", events)


def write_dataset(folder: Path, items: pd.DataFrame, users: pd.DataFrame, events: pd.DataFrame) -> None:
    """The dataset folder."""
    folder.mkdir(parents=True)
    columns = {
        "item_id": pa.array(items.item_id, pa.string()),
        "title": pa.array([f"Thing {n}" for n in range(ITEMS)]),
        "text": pa.nulls(ITEMS, pa.string()),
        "categories": pa.array([[value] for value in items.cate_id], pa.list_(pa.string())),
        "brand": pa.array(items.brand, pa.string()),
        "tags": pa.array(items.tags, pa.list_(pa.string())),
        "price": pa.array(items.price, pa.float64(), from_pandas=True),
    }
    pq.write_table(pa.table(columns), folder / "items.parquet")
    profiles = {name: pa.array(users[name], pa.string()) for name in ("user_id", "gender")}
    pq.write_table(pa.table(profiles), folder / "users.parquet")
    log = {name: pa.array(events[name], pa.string()) for name in ("user_id", "item_id", "device")}
    log |= {"timestamp": pa.array(events.timestamp, pa.int64()), "label": pa.array(events.label, pa.int8())}
    pq.write_table(pa.table(log), folder / "interactions.parquet")
    (folder / "dataset.json").write_text('{"name": "fuxi shop", "time": "ms", "negatives": "logged"}')


def write_fuxictr(folder: Path, items: pd.DataFrame, users: pd.DataFrame, events: pd.DataFrame) -> list[int]:
    """FuxiCTR's feature map, vocabulary and the three tables of `LongCTRDataLoader`; gives lengths of histories."""
    folder.mkdir()
    # The last items are unknown to the vocabulary too, and so is the user u0.
    words = {
        "user_id": vocabulary(list(users.user_id[1:])),
        "gender": vocabulary(list(users.gender)),
        "item_id": vocabulary(list(items.item_id[:55])),
        "brand": vocabulary([value for value in items.brand if value != "late"]),
        "cate_id": vocabulary(list(items.cate_id)),
        # The last one is unknown.
        "tags": vocabulary([tag for tags in items.tags for tag in tags if tag != "late"]),
        "device": vocabulary(["phone", "desk"]),
    }
    (folder / "feature_vocab.json").write_text(json.dumps(words))
    features: list[dict[str, Any]] = [{name: {"type": "meta"}} for name in ("user_index", "item_index", "seq_len")]
    for name, source in SOURCES.items():
        size = max(words[name].values()) + 1
        kind = {"type": "categorical"}
        if name == "tags":
            kind = {"type": "sequence", "max_len": 3, "feature_encoder": "layers.MaskedAveragePooling()"}
        features.append({name: {"source": source, "padding_idx": 0, "vocab_size": size, **kind}})
    features += [{name: {"source": source, "type": "numeric"}} for name, source in NUMBERS.items()]
    described = {"dataset_id": "fuxictr", "num_fields": 8, "total_features": 0, "input_length": 0, "labels": ["label"]}
    (folder / "feature_map.json").write_text(json.dumps(described | {"features": features}))

    def encode(name: str, values: Any) -> list[int]:
        return [words[name].get(value or "", words[name]["__OOV__"]) for value in values]

    # Row 0 of the items is padding.
    info: dict[str, Any] = {name: [0, *encode(name, items[name])] for name in ("item_id", "brand", "cate_id")}
    info["tags"] = [[0] * 3, *((encode("tags", tags[:3]) + [0] * 3)[:3] for tags in items.tags)]
    info["price"] = np.concatenate([[0.0], (items.price.astype(float).fillna(0.0) - MEAN) / DEVIATION])
    pd.DataFrame({"item_index": range(ITEMS + 1), **info}).to_parquet(folder / "item_info.parquet")
    row_of = {identity: row + 1 for row, identity in enumerate(items.item_id)}
    sequences: dict[str, list[int]] = {identity: [] for identity in users.user_id}
    times: dict[str, list[int]] = {identity: [] for identity in users.user_id}
    for event in events[events.label == 1].itertuples():
        sequences[event.user_id].append(row_of[event.item_id])
        times[event.user_id].append(event.timestamp)
    pd.DataFrame({"full_item_seq": list(sequences.values())}).to_parquet(folder / "user_info.parquet")
    lengths = [int(np.searchsorted(times[event.user_id], event.timestamp)) for event in events.itertuples()]
    places = {identity: row for row, identity in enumerate(users.user_id)}
    genders = dict(zip(users.user_id, users.gender, strict=True))
    rows = {
        "label": events.label,
        "user_index": [places[value] for value in events.user_id],
        "item_index": [row_of[value] for value in events.item_id],
        "seq_len": lengths,
        "user_id": encode("user_id", events.user_id),
        "gender": encode("gender", [genders[value] for value in events.user_id]),
        "device": encode("device", events.device),
    }
    pd.DataFrame(rows).to_parquet(folder / "rows.parquet")
    return lengths


def train_fuxictr(shop: FuxiShop, name: str, folder: Path) -> tuple[Path, np.ndarray]:
    """Train by FuxiCTR's own loop; gives the checkpoint and FuxiCTR's own prediction of every impression."""
    from fuxictr.features import FeatureMap
    from model_zoo.LongCTR.longctr_dataloader import LongCTRDataLoader

    from plugrank_training.models.fuxictr import find

    features = FeatureMap("fuxictr", str(shop.data))
    features.load(str(shop.data / "feature_map.json"), {"embedding_dim": 8})
    with contextlib.redirect_stdout(io.StringIO()):
        model = find(name)(
            features,
            model_id=name,
            model_root=f"{folder}/",
            embedding_dim=8,
            task="binary_classification",
            optimizer="adam",
            loss="binary_crossentropy",
            metrics=["AUC"],
            monitor="AUC",
            verbose=0,
            learning_rate=0.01,
            **PARAMS[name],
        )

    def loader(shuffle: bool) -> Any:
        files = [str(shop.data / f"{file}.parquet") for file in ("rows", "user_info", "item_info")]
        return LongCTRDataLoader(features, *files, batch_size=256, shuffle=shuffle, num_workers=0, max_len=LENGTH)

    Path(model.model_dir).mkdir(parents=True, exist_ok=True)
    model.fit(loader(True), validation_data=loader(False), epochs=3)
    return Path(model.checkpoint), model.predict(loader(False))
