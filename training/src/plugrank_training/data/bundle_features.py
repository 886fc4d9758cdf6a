"""The features and tasks of a bundle, read back with their vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugrank_training.models.features import Feature
from plugrank_training.models.schema import MAIN_TASK, Schema
from plugrank_training.models.transforms import Transform


def read_features(bundle: Path, manifest: Mapping[str, Any], side: str) -> tuple[Feature, ...]:
    """Features of `item`, `user`, `request`, `candidate` or `history`."""
    made = []
    for entry in manifest["features"].get(side, []):
        if entry.get("kind", "category") == "number":
            transform = Transform.read(entry.get("transform", "none"))
            feature = Feature.number(entry["name"], transform, entry["length"], entry.get("missing", 0.0))
        else:
            values = (bundle / entry["vocab"]).read_text(encoding="utf-8").split("\n")[:-1]
            feature = Feature.of(entry["name"], values, entry["length"])
        derive = entry.get("derive", "")
        made.append(replace(feature, column=entry.get("column", entry["name"]), derive=derive))
    return tuple(made)


def read_schema(bundle: Path, manifest: Mapping[str, Any]) -> Schema:
    """All that a bundle reads but modal vectors, and its tasks."""
    lengths = manifest["history"]
    item, user, request, candidate, history = (
        read_features(bundle, manifest, side) for side in ("item", "user", "request", "candidate", "history")
    )
    tasks = tuple(manifest.get("tasks", [MAIN_TASK]))
    zone = manifest.get("timezone", "UTC")
    return Schema(item, user, (), lengths["clicks"], lengths["impressions"], request, candidate, tasks, zone, history)


def calibration_of(manifest: Mapping[str, Any], graph: str, task: str) -> dict[str, Any] | None:
    """The calibration of a graph's task; None where the probability is the logit's sigmoid."""
    entry = manifest.get("calibration", {}).get(graph)
    if entry is None or manifest["format"] > 1:
        found: dict[str, Any] | None = (entry or {}).get(task)
        return found
    return dict(entry)
