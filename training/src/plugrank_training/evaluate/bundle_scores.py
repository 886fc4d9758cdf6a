"""What a bundle's graphs say of impressions, run by ONNX Runtime on the rows of a dataset folder, without a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from plugrank_training.data.bundle_features import calibration_of, read_schema
from plugrank_training.data.catalog import encoded, item_columns, user_columns
from plugrank_training.data.columns import refuse_absent
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryBatch, HistoryIndex
from plugrank_training.data.log_context import LogContext
from plugrank_training.evaluate.calibrate import apply
from plugrank_training.export.onnx_files import OnnxGraph

# Impressions that run together.
ROWS = 256
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Impressions:
    """Rows of the data set's users and items, and the moments they met; int64 `[n]` each."""

    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    # Rows of the log that they are, -1 where it has them not; None: it has none of them.
    row: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.item)

    def take(self, rows: slice) -> Impressions:
        """Some of them."""
        return Impressions(
            self.user[rows], self.item[rows], self.timestamp[rows], None if self.row is None else self.row[rows]
        )


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
        schema = read_schema(bundle, self.manifest)
        refuse_absent(schema, dataset, allow_absent)
        self.tasks = schema.tasks
        self.context = LogContext.of(schema, dataset)
        self.users = encoded(schema.user, user_columns(dataset), len(dataset.user_ids))
        items = encoded(schema.item, item_columns(dataset), len(dataset.item_ids))
        self.items = {f"feature.{name}": ids for name, ids in items.items()}
        made = self.run("item_encoder", {f"item.{name}": rows for name, rows in self.items.items()})
        self.items |= {f"item.{name}": rows for name, rows in made.items()}

    def run(self, graph: str, sources: Arrays) -> Arrays:
        """Outputs of a graph whose inputs are found by their sources."""
        ports = self.manifest["graphs"][graph]["inputs"]
        return self.graphs[graph].run({port["name"]: sources[port["source"]] for port in ports})

    def probabilities(self, impressions: Impressions, task: str = "") -> np.ndarray:
        """Calibrated probabilities of a task, the main one where none is named, f64 `[n]`. Raises `ValueError`."""
        wanted = task or self.tasks[0]
        if wanted not in self.tasks:
            raise ValueError(f"the bundle has no task `{task}`; it has {', '.join(self.tasks)}")
        output = wanted if len(self.tasks) > 1 else self.manifest["graphs"]["unified"]["outputs"][0]["name"]
        pieces = [self.logits(impressions.take(slice(n, n + ROWS)), output) for n in range(0, len(impressions), ROWS)]
        logits = np.concatenate([np.zeros(0), *pieces]).astype(np.float64)
        entry = calibration_of(self.manifest, "unified", wanted)
        found: np.ndarray = apply(entry, logits) if entry else expit(logits)
        return found

    def logits(self, impressions: Impressions, output: str) -> np.ndarray:
        """One output for some impressions, one candidate each, f32 `[n]`."""
        history = self.history.gather(impressions.user, impressions.timestamp)
        sources = self.history_sources(history)
        sources |= {f"user.feature.{name}": ids[impressions.user] for name, ids in self.users.items()}
        state = self.run("user_encoder", sources)
        sources |= {f"user.state.{name}": rows for name, rows in state.items()}
        sources |= {f"candidate.{name}": rows[impressions.item][:, None] for name, rows in self.items.items()}
        if self.context is not None:
            rows = np.full(len(impressions), -1) if impressions.row is None else impressions.row
            told = self.context.requests(rows, impressions.timestamp)
            sources |= {f"request.feature.{name}": values for name, values in told.items()}
            given = self.context.candidates(rows[:, None])
            sources |= {f"candidate.given.{name}": values for name, values in given.items()}
        logits: np.ndarray = self.run("unified", sources)[output][:, 0]
        return logits

    def history_sources(self, history: HistoryBatch) -> Arrays:
        """Everything that graphs read of histories; padding is zeros."""
        sources: Arrays = {
            "history.label": history.labels,
            "history.age_bucket": history.age_bucket,
            "history.mask": history.mask,
            "request.recency_bucket": history.recency_bucket,
        }
        if self.context is not None:
            past = self.context.past(history.rows, history.items.shape)
            sources |= {f"history.{name}": rows for name, rows in past.items()}
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
