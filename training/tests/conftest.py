"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from days import Days, write_days

# Set before torch is loaded: idle threads that spin cost several times the run where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that `export-tiny` writes."""
    from plugrank_training.cli import main

    out = tmp_path_factory.mktemp("bundle") / "tiny"
    assert main(["export-tiny", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    """What `days.py` says."""
    return write_days(tmp_path_factory.mktemp("days"))
