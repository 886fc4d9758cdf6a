"""LightGBM models of clicks and purchases, trained and served: `python onnx_model.py DATASET OUT`.

Any ONNX model with a row for each impression goes the same way; only the first part is LightGBM's.
"""

import sys
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import pyarrow.parquet as pq
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from plugrank_training.cli import main

BRANDS = ["acme", "globex", "initech", "umbrella"]
TAGS, DEVICES = ["new", "sale", "blue", "green", "red"], ["phone", "desktop"]


# --- The models, as they are without Plugrank.
def rows_of(dataset: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The log as LightGBM reads it, a row for each impression, and the labels by task."""
    items = {row["item_id"]: row for row in pq.read_table(dataset / "items.parquet").to_pylist()}
    ages = {row["user_id"]: row["age"] for row in pq.read_table(dataset / "users.parquet").to_pylist()}
    log = pq.read_table(dataset / "interactions.parquet").to_pylist()

    def place(values: list[str], value: str | None) -> int:
        return values.index(value) if value in values else -1

    rows = [
        [
            items[event["item_id"]]["price"],
            place(BRANDS, items[event["item_id"]]["brand"]),
            *([place(TAGS, tag) for tag in items[event["item_id"]]["tags"]] + [-1] * 3)[:3],
            ages[event["user_id"]],
            place(DEVICES, event["device"]),
            event["timestamp"] // 3_600_000 % 24,
            event["basket"],
            event["bid"],
        ]
        for event in log
    ]
    labels = {task: np.array([event[column] for event in log]) for task, column in TASKS.items()}
    return np.array(rows, dtype=np.float32), labels


TASKS = {"click": "label", "purchase": "label_purchase"}


def train(rows: np.ndarray, labels: dict[str, np.ndarray], file: Path) -> dict[str, lightgbm.LGBMClassifier]:
    """A model for each task, in one ONNX file."""
    models, made = {}, []
    for task, label in labels.items():
        models[task] = lightgbm.LGBMClassifier(n_estimators=30, num_leaves=15, verbose=-1, num_threads=1)
        models[task].fit(rows, label)
        wanted = [("input", FloatTensorType([None, rows.shape[1]]))]
        converted = convert_lightgbm(models[task], initial_types=wanted, zipmap=False, target_opset=15)
        made.append(onnx.compose.add_prefix(converted, f"{task}_"))
    onnx.save(onnx.compose.merge_models(*made, io_map=[]), file)
    return models


# --- What Plugrank needs to know of them.
SIDE_BY_SIDE = '["price", "brand", "tags", "age", "device", "hour", "basket", "bid"]'
FEATURES = f"""
name = "trees"
[model.inputs]
click_input = {SIDE_BY_SIDE}
purchase_input = {SIDE_BY_SIDE}
[model.outputs.click]
output = "click_probabilities"
column = 1
[model.outputs.purchase]
output = "purchase_probabilities"
column = 1
[item]
price = {{ missing = nan }}
brand = {{ values = {BRANDS}, first = 0, missing = -1, unknown = -1 }}
tags = {{ values = {TAGS}, first = 0, missing = -1, unknown = -1, length = 3 }}
[user]
age = {{ missing = nan }}
[request]
device = {{ values = {DEVICES}, first = 0, missing = -1, unknown = -1 }}
hour = {{ derive = "hour" }}
basket = {{ missing = nan }}
[candidate]
bid = {{ missing = nan }}
"""


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    train(*rows_of(folder), out / "trees.onnx")
    (out / "features.toml").write_text(FEATURES, encoding="utf-8")
    # The same as `plugrank bundle wrap trees.onnx --features features.toml --out bundle`.
    wrapped = ["wrap", str(out / "trees.onnx"), "--features", str(out / "features.toml"), "--out", str(out / "bundle")]
    sys.exit(main(wrapped))
