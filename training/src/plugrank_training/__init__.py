"""Plugrank's training side; what is used from a program is named here, the rest from the command line.

Names are loaded when they are used: torch takes seconds, which `--help` need not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugrank_training.export.fuxictr import FuxiCtr, from_fuxictr
    from plugrank_training.export.module import export_module
    from plugrank_training.fit.plug import Plugged, plug_ppm
    from plugrank_training.models.branch import Branch
    from plugrank_training.models.own_features import Category, Features, Number
    from plugrank_training.models.row_host import RowModel, Rows
    from plugrank_training.models.transforms import Transform

HOMES = {
    "Branch": "models.branch",
    "Category": "models.own_features",
    "Features": "models.own_features",
    "FuxiCtr": "export.fuxictr",
    "Number": "models.own_features",
    "Plugged": "fit.plug",
    "RowModel": "models.row_host",
    "Rows": "models.row_host",
    "Transform": "models.transforms",
    "export_module": "export.module",
    "from_fuxictr": "export.fuxictr",
    "plug_ppm": "fit.plug",
}

__all__ = [
    "Branch",
    "Category",
    "Features",
    "FuxiCtr",
    "Number",
    "Plugged",
    "RowModel",
    "Rows",
    "Transform",
    "export_module",
    "from_fuxictr",
    "plug_ppm",
]


def __getattr__(name: str) -> Any:
    """Load the attribute on first access."""
    if name not in HOMES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
