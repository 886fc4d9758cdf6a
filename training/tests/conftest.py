"""Shared fixtures, and the order of files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from days import Days, write_days

# Set before torch is loaded: idle threads that spin cost several times the run where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Files that take longest, longest first: processes that take whole files in this order end at about the same time.
SLOW = (
    "test_pipeline",
    "test_served",
    "test_from_fuxictr",
    "test_hosts",
    "test_increment",
    "test_refit",
    "test_memory",
    "test_export",
    "test_export_module",
    "test_typed_features",
    "test_lists",
    "test_clicks",
    "test_list_training",
    "test_report",
    "test_sources",
    "test_resume",
    "test_taste",
    "test_semantic_ids",
    "test_similarity",
    "test_other_encoders",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first."""
    place = {name: number for number, name in enumerate(SLOW)}
    items.sort(key=lambda item: place.get(item.path.stem, len(SLOW)))


Shared = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Shared:
    """Gives the folder of a name, made by the first process that asks for it."""
    base = tmp_path_factory.getbasetemp()
    home = base if worker_id == "master" else base.parent

    def folder_of(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = home / f"shared-{name}", home / f"shared-{name}.made"
        with FileLock(home / f"shared-{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def tiny_folder(shared: Shared) -> Path:
    """The bundle that `export-tiny` writes."""
    from plugrank_training.cli import main

    def make(folder: Path) -> None:
        assert main(["export-tiny", str(folder / "tiny")]) == 0

    return shared("bundle", make) / "tiny"


@pytest.fixture(scope="session")
def days(shared: Shared) -> Days:
    """What `days.py` says."""
    return Days.at(shared("days", write_days))
