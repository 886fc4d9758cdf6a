"""A real server: `plugrank demo`, started once. `PLUGRANK` names the program, `cargo xtask test clients` sets it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    state = tmp_path_factory.mktemp("state")
    command = [os.environ["PLUGRANK"], "demo", "--port", str(port), "--state", str(state)]
    with (state / "log").open("w") as log:
        # A debug build needs more time than the budget by default.
        environment = os.environ | {"PLUGRANK__BUDGET__DEFAULT_MS": "1000"}
        server = subprocess.Popen(
            [*command, "--shop", str(ROOT / "models/simshop")], stdout=log, stderr=log, env=environment
        )
    try:
        deadline = time.monotonic() + 120
        while not ready(address):
            assert server.poll() is None, (state / "log").read_text()
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").is_success
    except httpx.TransportError:
        return False
