"""The scripts of docs/examples, which tests run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def own_lines(name: str) -> int:
    """Lines of code that a user writes for Plugrank: those of the last part, below `# --- What Plugrank needs`."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    part = text.split("# --- What Plugrank needs", 1)[1].split("\n", 1)[1].split('if __name__ == "__main__"', 1)[0]
    lines = [line.strip() for line in part.splitlines()]
    return sum(bool(line) and not line.startswith(('"""', "#", "@")) for line in lines)
