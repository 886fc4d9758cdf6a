#!/usr/bin/env python3
"""Runs the chart's tests in their own virtual environment.

    python3 helm/tests/run.py [pytest arguments]
    python3 helm/tests/run.py --setup              makes the environment alone

The environment lies in target/helm-venv and is made again when requirements.lock has changed.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import venv

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def environment() -> pathlib.Path:
    """Interpreter of an environment that has what requirements.lock lists, file by file."""
    folder = TARGET / "helm-venv"
    python = folder / "bin/python"
    stamp = folder / "installed.txt"
    wanted = (TESTS / "requirements.lock").read_text()
    if python.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    requirements = str(TESTS / "requirements.lock")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "--requirement", requirements], check=True)
    stamp.write_text(wanted)
    return python


def main() -> int:
    if sys.argv[1:] == ["--setup"]:
        environment()
        return 0
    variables = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    tests = [environment(), "-m", "pytest", TESTS, *sys.argv[1:]]
    return subprocess.run(tests, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
