"""A data set that several runs read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.stage_cache import fingerprint_folder


@dataclass(frozen=True)
class Loaded:
    """The data set, with its fingerprint."""

    dataset: Dataset
    key: str

    @classmethod
    def read(cls, folder: Path, arrays: Path) -> Loaded:
        """Read and check it; its interactions are kept in mapped files in `arrays`. Raises `DatasetError`."""
        if not folder.is_dir():
            raise DatasetError.at(folder, "there is no such folder")
        key = fingerprint_folder(folder)
        return cls(Dataset.load(folder, arrays / f"interactions-{key}"), key)
