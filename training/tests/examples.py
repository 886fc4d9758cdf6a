"""The scripts of docs/examples, which tests run."""

from __future__ import annotations

import importlib.util
import io
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

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


def run_script(name: str, *arguments: object) -> tuple[dict[str, Any], str]:
    """Runs a script with arguments, as a shell would, but in this process, where torch is loaded already; what it left,
    unless it called `sys.exit`, and what it printed. Fails where it ends with a status."""
    path, printed = str(EXAMPLES / f"{name}.py"), io.StringIO()
    left: dict[str, Any] = {}
    with mock.patch.object(sys, "argv", [path, *map(str, arguments)]), redirect_stdout(printed):
        try:
            left = runpy.run_path(path, run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"{name}.py ended with {ended.code}:\n{printed.getvalue()}") from ended
    return left, printed.getvalue()


def own_lines(name: str) -> int:
    """Lines of code that a user writes for Plugrank: those of the last part, below `# --- What Plugrank needs`."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    part = text.split("# --- What Plugrank needs", 1)[1].split("\n", 1)[1].split('if __name__ == "__main__"', 1)[0]
    lines = [line.strip() for line in part.splitlines()]
    return sum(bool(line) and not line.startswith(('"""', "#", "@")) for line in lines)
