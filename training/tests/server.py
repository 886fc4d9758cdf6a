"""A real server over a bundle and a dataset folder. `PLUGRANK` names the program: `cargo xtask test training`."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = os.environ.get("PLUGRANK", "")
needs_server = pytest.mark.skipif(
    not PROGRAM, reason="PLUGRANK is not set to a plugrank binary: run `cargo xtask test training`"
)
# Two seconds a request: a program without optimization takes its time.
SETTINGS = """\
server.bind = "127.0.0.1:{port}"
store.path = "{folder}/store.redb"
bundle.path = "{bundle}"
budget.default_ms = 2000
budget.ceiling_ms = 20000
events.types.view = {{ weight = 0.0, positive = false, impression = true }}
"""


@contextmanager
def served(bundle: Path, dataset: Path, folder: Path) -> Iterator[str]:
    """Load the folder, serve it, give the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "plugrank.toml"
    config.write_text(SETTINGS.format(port=port, folder=folder, bundle=bundle), encoding="utf-8")
    subprocess.run([PROGRAM, "load", "--config", str(config), "--dataset", str(dataset)], check=True)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([PROGRAM, "serve", "--config", str(config)], stdout=log, stderr=log)
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while not ready(url):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


def ready(url: str) -> bool:
    """Whether it answers."""
    try:
        return bool(urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False
