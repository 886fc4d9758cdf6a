"""What a bundle's graphs say of impressions, run by ONNX Runtime on the rows of a dataset folder, without a server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from plugrank_training.data.bundle_features import read_features
from plugrank_training.data.columns import refuse_absent
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryBatch, HistoryIndex
from plugrank_training.evaluate.calibrate import apply
from plugrank_training.export.onnx_files import OnnxGraph
from plugrank_training.models.features import Feature
from plugrank_training.models.schema import Schema

# Impressions that run together.
ROWS = 256
Arrays = dict[str, np.ndarray]
# Of one row and column.
Values = str | Sequence[str] | None


@dataclass(frozen=True)
class Impressions:
    """Rows of the data set's users and items, and the moments they met; int64 `[n]` each."""

    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    def take(self, rows: slice) -> Impressions:
        """Some of them."""
        return Impressions(self.user[rows], self.item[rows], self.timestamp[rows])


class BundleScorer:
    """A bundle over a data set: item records are made once, each history is cut at the impression's own moment."""

    def __init__(self, bundle: Path, dataset: Dataset, allow_absent: Sequence[str] = ()) -> None:
        """Raises `ValueError` for a bundle that reads texts or images, which a server has to be asked about, and where
        the data lacks a column that it reads."""
        self.manifest = read_manifest(bundle)
        if self.manifest["modal"]["dim"]:
            raise ValueError(f"{bundle}: reads texts or images; compare it with a running server (--url)")
        self.graphs = {name: OnnxGraph(bundle / graph["file"]) for name, graph in self.manifest["graphs"].items()}
        lengths = self.manifest["history"]
        self.history = HistoryIndex(dataset, lengths["clicks"], lengths["impressions"])
        item, user = (read_features(bundle, self.manifest, side) for side in ("item", "user"))
        refuse_absent(Schema(item, user, (), lengths["clicks"], lengths["impressions"]), dataset, allow_absent)
        self.users = encoded(user, user_columns(dataset), len(dataset.user_ids))
        items = encoded(item, item_columns(dataset), len(dataset.item_ids))
        self.items = {f"feature.{name}": ids for name, ids in items.items()}
        made = self.run("item_encoder", {f"item.{name}": rows for name, rows in self.items.items()})
        self.items |= {f"item.{name}": rows for name, rows in made.items()}

    def run(self, graph: str, sources: Arrays) -> Arrays:
        """Outputs of a graph whose inputs are found by their sources."""
        ports = self.manifest["graphs"][graph]["inputs"]
        return self.graphs[graph].run({port["name"]: sources[port["source"]] for port in ports})

    def probabilities(self, impressions: Impressions) -> np.ndarray:
        """Calibrated click probabilities, f64 `[n]`."""
        pieces = [self.logits(impressions.take(slice(n, n + ROWS))) for n in range(0, len(impressions), ROWS)]
        logits = np.concatenate([np.zeros(0), *pieces]).astype(np.float64)
        entry = self.manifest["calibration"].get("unified")
        found: np.ndarray = apply(entry, logits) if entry else expit(logits)
        return found

    def logits(self, impressions: Impressions) -> np.ndarray:
        """Logits of some impressions, one candidate each, f32 `[n]`."""
        history = self.history.gather(impressions.user, impressions.timestamp)
        sources = self.history_sources(history)
        sources |= {f"user.feature.{name}": ids[impressions.user] for name, ids in self.users.items()}
        state = self.run("user_encoder", sources)
        sources |= {f"user.state.{name}": rows for name, rows in state.items()}
        sources |= {f"candidate.{name}": rows[impressions.item][:, None] for name, rows in self.items.items()}
        logits: np.ndarray = self.run("unified", sources)["logit"][:, 0]
        return logits

    def history_sources(self, history: HistoryBatch) -> Arrays:
        """Everything that graphs read of histories; padding is zeros."""
        sources: Arrays = {
            "history.label": history.labels,
            "history.age_bucket": history.age_bucket,
            "history.mask": history.mask,
            "request.recency_bucket": history.recency_bucket,
        }
        there = history.items >= 0
        for name, rows in self.items.items():
            taken = rows[np.maximum(history.items, 0)]
            mask = there.reshape(*there.shape, *[1] * (taken.ndim - 2))
            sources[f"history.{name}"] = np.where(mask, taken, np.zeros(1, taken.dtype))
        return sources


def read_manifest(bundle: Path) -> dict[str, Any]:
    """A bundle's manifest."""
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return found


def encoded(features: Sequence[Feature], columns: Mapping[str, Sequence[Values]], rows: int) -> Arrays:
    """Ids of every feature for all rows; missing where the data has no such column."""
    return {feature.name: feature.encode(columns.get(feature.column, [None] * rows)) for feature in features}


def item_columns(dataset: Dataset) -> dict[str, Sequence[Values]]:
    """Columns of items by name."""
    texts = {"title": dataset.titles, "text": dataset.texts}
    return {"item_id": dataset.item_ids, "categories": dataset.categories, **texts, **dataset.item_columns}


def user_columns(dataset: Dataset) -> dict[str, Sequence[Values]]:
    """Columns of users by name."""
    return {"user_id": dataset.user_ids, **dataset.user_columns}
