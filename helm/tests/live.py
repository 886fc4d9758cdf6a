"""A real Plugrank server under a little traffic, scraped by a real Prometheus."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import yaml

from chart import ROOT, TARGET
from monitoring import JOB, NAMESPACE, tool

MODEL = ROOT / "models/simshop"
# Longest that starting, or what is waited for, may take; a debug build on a busy machine is slow.
PATIENCE_S = 180


def program() -> pathlib.Path | None:
    """The program: $PLUGRANK, else the newest build."""
    named = os.environ.get("PLUGRANK")
    built = [TARGET / profile / "plugrank" for profile in ("release", "debug")]
    built = sorted((p for p in built if p.is_file()), key=lambda p: -p.stat().st_mtime)
    return pathlib.Path(named) if named else next(iter(built), None)


def onnxruntime() -> str | None:
    """The library the graphs run on: $ORT_DYLIB_PATH, else what `cargo xtask` unpacked."""
    unpacked = TARGET.glob("onnxruntime-*/onnxruntime/capi/libonnxruntime.so*")
    return os.environ.get("ORT_DYLIB_PATH") or next(map(str, unpacked), None)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ask(url: str, body: object = None, method: str | None = None) -> tuple[int, str]:
    """Status and text of an answer; 0 when there is none."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""


def wait_for(url: str, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while ask(url)[0] != 200:
        assert process.poll() is None, f"it ended:\n{log.read_text()[-2000:]}"
        assert time.monotonic() < until, f"{url} never answered:\n{log.read_text()[-2000:]}"
        time.sleep(0.1)


@contextlib.contextmanager
def running(line: list[str], log: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(line, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def toml(value: object) -> str:
    """A value of a settings file. JSON strings are TOML basic strings too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


def authority(folder: pathlib.Path) -> pathlib.Path:
    """A certificate of a new authority, whose end is told."""
    certificate = folder / "ca.crt"
    line = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    line += ["-nodes", "-subj", "/CN=test", "-days", "9", "-keyout", str(folder / "ca.key")]
    subprocess.run([*line, "-out", str(certificate)], check=True, capture_output=True, timeout=60)
    return certificate


@contextlib.contextmanager
def server(folder: pathlib.Path) -> Iterator[str]:
    """The shipped shop, with room for so few calls that some are refused."""
    port = free_port()
    settings = {
        "server": {"bind": f"127.0.0.1:{port}", "workers": 2, "max_in_flight": 4},
        "store": {"path": str(folder / "store.redb")},
        "bundle": {"path": str(MODEL / "bundle")},
        "onnxruntime": {"library": str(onnxruntime())},
        "retrieval": {"max_in_flight": 2},
        "peers": {"tls": {"ca_file": str(authority(folder))}},
    }
    lines = [
        f"[{section}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
        for section, keys in settings.items()
    ]
    config = folder / "plugrank.toml"
    config.write_text("\n".join(lines))
    binary = str(program())
    load = [binary, "load", "--config", str(config), "--dataset", str(MODEL / "dataset")]
    done = subprocess.run(load, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    log = folder / "server.log"
    with running([binary, "serve", "--config", str(config)], log) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/readyz", process, log)
        yield url


def traffic(url: str, number: int) -> None:
    """One request of each kind; every fourth with a budget that cannot be kept."""
    user = f"u{1 + number % 500}"
    budget = [1, 5, 20, 2000][number % 4]
    ask(f"{url}/v1/rank", {"user_id": user, "k": 5, "budget_ms": budget})
    event = {
        "event_id": f"live-{number // 2}",
        "type": "click",
        "user_id": user,
        "item_id": f"i{1 + number % 100}",
    }
    ask(f"{url}/v1/events", {"events": [event]})


@contextlib.contextmanager
def prometheus(folder: pathlib.Path, url: str) -> Iterator[str]:
    """Prometheus, scraping twice a second, with the labels a ServiceMonitor would give."""
    target = urllib.parse.urlsplit(url).netloc
    labels = {"namespace": NAMESPACE, "job": JOB, "pod": "one"}
    scrape = {
        "job_name": JOB,
        "scrape_interval": "500ms",
        "scrape_timeout": "500ms",
        "static_configs": [{"targets": [target], "labels": labels}],
    }
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    port, log = free_port(), folder / "prometheus.log"
    line = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(line, log) as process:
        base = f"http://127.0.0.1:{port}"
        wait_for(f"{base}/-/ready", process, log)
        yield base


def query(base: str, expression: str) -> list[dict]:
    """Series that an instant query finds."""
    parameters = urllib.parse.urlencode({"query": expression})
    status, text = ask(f"{base}/api/v1/query?{parameters}")
    assert status == 200, f"{expression}: {text}"
    data = json.loads(text)["data"]
    return data["result"] if data["resultType"] == "vector" else [data]


@contextlib.contextmanager
def scraped(folder: pathlib.Path) -> Iterator[str]:
    """Prometheus' address, with traffic at the server it scrapes."""
    with server(folder) as url, prometheus(folder, url) as base:
        stop = False

        def send(worker: int) -> None:
            number = worker
            while not stop:
                traffic(url, number)
                number += 8

        with ThreadPoolExecutor(8) as senders:
            for worker in range(8):
                senders.submit(send, worker)
            try:
                yield base
            finally:
                stop = True
