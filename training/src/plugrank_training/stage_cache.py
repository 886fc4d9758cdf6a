"""Results of training stages on disk, found again by a fingerprint of everything they depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from plugrank_training.distributed import is_main, wait
from plugrank_training.durable import write_durably

# Raise when a change of the code makes results of older code wrong to reuse.
CODE_VERSION = 7


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, for hashing."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits that change with any part."""
    text = json.dumps([CODE_VERSION, torch.__version__, *map(plain, parts)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint_folder(folder: Path) -> str:
    """Changes with the content of any parquet or JSON file of a dataset folder, and with the size of any image."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        digest.update(path.relative_to(folder).as_posix().encode())
        if path.suffix in (".parquet", ".json"):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(str(path.stat().st_size).encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Made:
    """What a stage made: tensors, what it measured, and whether it was made now."""

    tensors: dict[str, Tensor]
    report: dict[str, Any]
    reused: bool


class StageCache:
    """A folder with `NAME-FINGERPRINT.safetensors` and `.json` for each stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str, key: str, suffix: str) -> Path:
        """Where a stage's file lies."""
        return self.folder / f"{name}-{key}.{suffix}"

    def get_or_make(self, name: str, key: str, make: Callable[[], tuple[dict[str, Tensor], dict[str, Any]]]) -> Made:
        """The stored result of this fingerprint, or what `make` gives, stored. A torn file counts as absent."""
        weights, report = self.path(name, key, "safetensors"), self.path(name, key, "json")
        wait()
        if weights.is_file() and report.is_file():
            return Made(load_file(weights), json.loads(report.read_text(encoding="utf-8")), reused=True)
        tensors, measured = make()
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        if is_main():
            write_durably(weights, save(tensors))
            write_durably(report, json.dumps(measured, indent=1).encode())
            self.path(name, key, "checkpoint").unlink(missing_ok=True)
        wait()
        return Made(tensors, measured, reused=False)
