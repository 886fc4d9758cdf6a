"""The features of a bundle, read back with their vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugrank_training.models.features import Feature


def read_features(bundle: Path, manifest: Mapping[str, Any], side: str) -> tuple[Feature, ...]:
    """Features of `item` or `user`."""
    made = []
    for entry in manifest["features"][side]:
        values = (bundle / entry["vocab"]).read_text(encoding="utf-8").split("\n")[:-1]
        feature = Feature.of(entry["name"], values, entry["length"])
        made.append(replace(feature, column=entry["column"]))
    return tuple(made)
