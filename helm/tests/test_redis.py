"""The bundled Redis server: rendered, and its command line started for real."""

import base64
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

from chart import SPLIT, env, merged, render

BUNDLED = merged(SPLIT, {"redis": {"existingSecret": "", "bundled": {"enabled": True}}})


def passwords(rendered) -> list[dict]:
    """The Secrets with a password of Redis; there is one of the keys beside it."""
    return [secret for secret in rendered.kind("Secret").values() if "password" in secret["data"]]


def password(rendered) -> str:
    [secret] = passwords(rendered)
    return base64.b64decode(secret["data"]["password"]).decode()


def test_a_generated_password_is_in_the_secret_only():
    rendered = render(BUNDLED)
    made = password(rendered)
    # It becomes part of an address, so it must need no escapes.
    assert len(made) == 32
    assert made.isalnum()
    assert made not in str([obj for obj in rendered.objects if obj["kind"] != "Secret"])
    assert made != password(render(BUNDLED))


def test_a_given_password_is_used():
    rendered = render(merged(BUNDLED, {"redis": {"bundled": {"existingSecret": "mine"}}}))
    assert not passwords(rendered)
    for pod in ("redis", "gateway"):
        reference = env(rendered.container(pod))["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "mine", "key": "password"}


def test_the_address_is_the_bundled_servers():
    rendered = render(BUNDLED)
    [name] = [n for n, s in rendered.kind("Service").items() if n.endswith("-redis")]
    variables = [v["name"] for v in rendered.container("scoring")["env"]]
    # Kubernetes replaces $(NAME) by variables that stand before.
    assert variables.index("REDIS_PASSWORD") < variables.index("PLUGRANK__STORE__REDIS__URL")
    url = env(rendered.container("scoring"))["PLUGRANK__STORE__REDIS__URL"]["value"]
    assert url == f"redis://:$(REDIS_PASSWORD)@{name}:6379/0"


@pytest.mark.skipif(
    not shutil.which("redis-server"),
    reason="no redis-server: install it (Debian: apt-get install redis-server)",
)
def test_the_servers_own_command_line_and_probe_work(tmp_path: pathlib.Path):
    rendered = render(BUNDLED)
    secret = password(rendered)
    container = rendered.container("redis")
    data = tmp_path / "data"
    data.mkdir()
    volumes = {v["name"]: v for v in rendered.pod("redis")["spec"]["volumes"]}
    config = rendered.kind("ConfigMap")[volumes["config"]["configMap"]["name"]]["data"]
    file = tmp_path / "redis.conf"
    file.write_text(config["redis.conf"].replace("/data", str(data)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    line = container["command"] + [
        part.replace("/etc/redis/redis.conf", str(file)).replace("$(REDIS_PASSWORD)", secret)
        for part in container["args"]
    ]
    probe = container["readinessProbe"]["exec"]["command"]
    assert probe == container["startupProbe"]["exec"]["command"]
    probe = [part.replace("redis-cli", f"redis-cli -p {port}") for part in probe]

    def ping(with_password: str) -> int:
        variables = os.environ | {"REDISCLI_AUTH": with_password}
        return subprocess.run(probe, env=variables, capture_output=True).returncode

    server = subprocess.Popen([*line, "--port", port], stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        until = time.monotonic() + 10
        while ping(secret) != 0:
            assert server.poll() is None, "redis-server refused its configuration"
            assert time.monotonic() < until, "redis-server never answered the probe"
            time.sleep(0.05)
        assert ping("wrong") != 0
        asked = subprocess.run(
            ["redis-cli", "-p", port, "config", "get", "append*"],
            env=os.environ | {"REDISCLI_AUTH": secret},
            capture_output=True,
            text=True,
        ).stdout.split()
        assert asked[asked.index("appendonly") + 1] == "yes"
        assert asked[asked.index("appendfsync") + 1] == "always"
        assert any(data.iterdir()), "nothing is written to the volume"
    finally:
        server.terminate()
        server.wait(10)
