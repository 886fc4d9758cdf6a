"""Starts the program that lies in this package."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

LIBRARY_VARIABLE = "ORT_DYLIB_PATH"


def main() -> None:
    """Becomes the program, told where the ONNX Runtime library is."""
    program = Path(__file__).parent / "bin" / "plugrank"
    if LIBRARY_VARIABLE not in os.environ:
        library = onnxruntime_library()
        if library is not None:
            os.environ[LIBRARY_VARIABLE] = str(library)
    os.execv(program, [str(program), *sys.argv[1:]])  # noqa: S606 -- the program is ours


def onnxruntime_library() -> Path | None:
    """The library in the wheel `onnxruntime`, or `onnxruntime-gpu`, without loading it."""
    spec = find_spec("onnxruntime")
    folders = spec.submodule_search_locations if spec else None
    found = (library for folder in folders or () for library in Path(folder).glob("capi/libonnxruntime.so*"))
    return next(found, None)
