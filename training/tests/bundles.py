"""Bundles that export in less time than a whole one: each graph takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    # Not torch, before conftest.py has set how its threads wait.
    from plugrank_training.export.bundle import Bundle
    from plugrank_training.models.cut_model import CutModel


def unified_alone(bundle: Bundle, model: CutModel) -> Bundle:
    """`bundle` with `model` as its unified one, without encoders of texts and images and without IDRec."""
    calibration = {name: told for name, told in bundle.calibration.items() if name != "idrec"}
    return replace(bundle, unified=model, idrec=None, text=None, image=None, calibration=calibration)


@contextmanager
def without_idrec_bundle() -> Iterator[None]:
    """`train` writes no `bundle-idrec`: a third of its graphs, which only `test_pipeline.py` looks at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("plugrank_training.fit.export_stage.export_idrec_alone", lambda *_: {})
        yield
