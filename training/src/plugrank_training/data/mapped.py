"""Arrays in files, mapped into memory: the system keeps what is read often and drops what is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plugrank_training.distributed import is_main, wait

Arrays = dict[str, np.ndarray]
# Shape and type of each array.
Shapes = Mapping[str, tuple[tuple[int, ...], Any]]


def mapped_arrays(folder: Path | None, shapes: Shapes, fill: Callable[[Arrays], None]) -> Arrays:
    """Arrays that `fill` writes into zeros: in files of the folder, mapped read-only and found again, or in memory.

    The folder appears in one step when all is written, so that a kill leaves none or a whole one; put into its name
    whatever the content depends on. Where there are several processes, the first one writes.
    """
    if folder is None:
        made = {name: np.zeros(shape, kind) for name, (shape, kind) in shapes.items()}
        fill(made)
        return made
    if is_main() and not folder.is_dir():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        files = {
            name: np.lib.format.open_memmap(part / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
            for name, (shape, kind) in shapes.items()
        }
        fill({name: file.view(np.ndarray) for name, file in files.items()})
        for file in files.values():
            file.flush()
        files.clear()
        part.rename(folder)
    wait()
    return {name: read_mapped(folder / f"{name}.npy") for name in shapes}


def read_mapped(path: Path) -> np.ndarray:
    """One array of a file, mapped read-only."""
    array: np.ndarray = np.load(path, mmap_mode="r").view(np.ndarray)
    return array
