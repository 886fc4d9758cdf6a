"""A real Chromium on a real server: `plugrank demo` with its admin port.

`PLUGRANK` names the program and `CHROMIUM` the browser; `cargo xtask test browser` sets both. `SCREENSHOTS` names a
folder for pictures of what the tests looked at; `SITE=URL,ADMIN-URL` is a server that runs already.
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, sync_playwright

ROOT = Path(__file__).parents[2]
# Nothing here asks a host of the browser's maker.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Mode:
    """A way to look at a page."""

    scheme: str
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.scheme}-{'phone' if self.width < 500 else 'desktop'}"


MODES = [Mode(scheme, *size) for scheme in ("light", "dark") for size in ((390, 844), (1360, 900))]


@dataclass(frozen=True)
class Site:
    """Where the server is."""

    url: str
    admin: str


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ready(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if running := os.environ.get("SITE"):
        yield Site(*running.split(","))
        return
    port, admin = free_port(), free_port()
    found = Site(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}")
    state = tmp_path_factory.mktemp("state")
    command = [os.environ["PLUGRANK"], "demo", "--port", str(port), "--state", str(state)]
    # A debug build needs more time than the budget by default.
    environment = os.environ | {"PLUGRANK__BUDGET__DEFAULT_MS": "1500", "PLUGRANK__ADMIN__BIND": f"127.0.0.1:{admin}"}
    with (state / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--shop", str(ROOT / "models/simshop")], stdout=log, stderr=log, env=environment
        )
    try:
        deadline = time.monotonic() + 180
        while not ready(found.url):
            assert server.poll() is None, (state / "log").read_text()
            assert time.monotonic() < deadline, "the server was not ready in time"
            time.sleep(0.1)
        yield found
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=FLAGS)
        yield chromium
        chromium.close()


def fulfilled(answer: object, route: Route) -> None:
    """Answers a request in place of the server."""
    route.fulfill(json=answer)


class Opened:
    """Opens pages, and holds what went wrong on them."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.wrong: list[str] = []

    def page(self, url: str, mode: Mode = MODES[1], answers: dict[str, object] | None = None) -> Page:
        """Opens a page. `answers` replace the server's, by a pattern of the address."""
        size: ViewportSize = {"width": mode.width, "height": mode.height}
        scheme = "dark" if mode.scheme == "dark" else "light"
        context = self.browser.new_context(viewport=size, color_scheme=scheme, has_touch=mode.width < 500)
        page = context.new_page()
        origin = "/".join(url.split("/")[:3])
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self.wrong.append(said.text) if is_error(said.type, said.text) else None)
        page.on("request", lambda asked: None if is_own(asked.url, origin) else self.wrong.append(asked.url))
        for pattern, answer in (answers or {}).items():
            page.route(pattern, partial(fulfilled, answer))
        page.goto(url)
        return page


def is_error(kind: str, text: str) -> bool:
    # An answer that is an error is what some tests are about.
    return kind in ("error", "warning") and "Failed to load resource" not in text


def is_own(url: str, origin: str) -> bool:
    return url.startswith((origin, "data:", "blob:"))


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    opened = Opened(browser)
    yield opened
    for context in browser.contexts:
        context.close()
    assert opened.wrong == []


@pytest.fixture
def play(opened: Opened, site: Site) -> Page:
    """The playground with its first ranking."""
    page = opened.page(site.url)
    page.locator("ol.items > li").first.wait_for()
    return page


def photograph(page: Page, name: str) -> None:
    """Keep a picture where they are asked for."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
