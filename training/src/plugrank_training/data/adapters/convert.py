"""Any source that is understood, to a dataset folder."""

from __future__ import annotations

from pathlib import Path

from plugrank_training.data.adapters import layouts
from plugrank_training.data.dataset import INTERACTIONS, ITEMS, META


def is_dataset_folder(folder: Path) -> bool:
    """Whether a folder has the form of docs/dataset-format.md already."""
    return any((folder / name).is_file() for name in (META, ITEMS, INTERACTIONS))


def convert_any(source: Path, out: Path, progress: bool = True) -> Path:
    """The dataset folder of a source: itself where it is one already, else `out`, written by the adapter.

    Raises `DatasetError` where the source is neither a dataset folder nor a layout an adapter knows.
    """
    if is_dataset_folder(source):
        if progress:
            print(f"{source}: already a dataset folder, nothing to convert", flush=True)
        return source
    layouts.convert(source, out, progress)
    return out
