"""Dockerfile, .dockerignore and compose.yaml, as far as they can be checked without an engine."""

import json
import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from chart import CHART, ROLES, ROOT
from schema import default_settings

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def stages() -> dict[str, str]:
    """Text of each build stage, by name."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.M)
    return {parts[i + 1]: f"FROM {parts[i]}\n{parts[i + 2]}" for i in range(1, len(parts), 3)}


def test_the_build_gets_the_whole_workspace_and_little_else(tmp_path):
    """Copies what .dockerignore lets through, and asks cargo to read the workspace there."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "what is not named must stay out"
    named = [rule[1:] for rule in rules if rule.startswith("!")]
    for path in named:
        source, copy = ROOT / path, tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignore = shutil.ignore_patterns("target", "__pycache__")
            shutil.copytree(source, copy, ignore=ignore)
        else:
            shutil.copy(source, copy)
    done = subprocess.run(
        [
            os.environ.get("CARGO", "cargo"),
            "metadata",
            "--locked",
            "--format-version=1",
            # Packages of other systems are not needed, nor fetched.
            "--filter-platform=x86_64-unknown-linux-gnu",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    metadata = json.loads(done.stdout)
    local = [p for p in metadata["packages"] if p["source"] is None]
    assert len(local) == len(metadata["workspace_members"]) > 10
    missing = [
        target["src_path"]
        for package in local
        for target in package["targets"]
        if not os.path.isfile(target["src_path"])
    ]
    assert not missing
    assert not {"target", ".git"} & {path.name for path in tmp_path.iterdir()}
    shop = "models/simshop"
    for copied in re.findall(rf"^COPY ({shop}/\S+) ", DOCKERFILE, flags=re.M):
        assert (tmp_path / copied).is_dir(), copied
    assert {path.name for path in (tmp_path / shop).iterdir()} == {
        "bundle",
        "bundle-idrec",
        "dataset",
    }


def test_the_program_is_stripped_and_its_symbols_are_beside_it():
    build = stages()["build"]
    kept, stripped = build.index("--only-keep-debug"), build.index("--strip-unneeded")
    assert kept < stripped, "what is stripped already has no symbols to keep"
    assert "--add-gnu-debuglink=/out/plugrank.debug" in build
    assert "/out/plugrank.debug" in stages()["symbols"]
    assert "plugrank.debug" not in "".join(stages()[name] for name in ("base", "cpu", "cuda"))


def test_versions_are_those_of_the_project():
    library = (ROOT / "xtask/src/ort_library.rs").read_text()
    [version] = re.findall(r'const VERSION: &str = "([^"]+)"', library)
    for stage, name in [("onnxruntime", "onnxruntime"), ("onnxruntime-cuda", "onnxruntime-gpu")]:
        assert f"COPY xtask/wheels/{name}.lock /" in stages()[stage]
        assert f"--requirement /{name}.lock" in stages()[stage]
        assert "--require-hashes" in stages()[stage]
        lock = (ROOT / f"xtask/wheels/{name}.lock").read_text()
        assert f"{name}=={version} " in lock
        assert lock.count("--hash=sha256:") >= lock.count("==") > 0
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    [rust] = re.findall(r"ARG RUST_VERSION=(\S+)", DOCKERFILE)
    oldest = tuple(map(int, workspace["rust-version"].split(".")))
    assert tuple(map(int, rust.split(".")))[:2] >= oldest
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == workspace["version"]
    assert COMPOSE["services"]["plugrank"]["image"].endswith(f":-{workspace['version']}}}")


def test_the_builder_and_the_image_have_one_c_library():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.M)
    # Nothing runs on `scratch`: it hands out files.
    outside = [base for base in bases if base not in stages() and base != "scratch"]
    assert all("bookworm" in base or "debian12" in base for base in outside), outside
    assert not any(base.endswith(":latest") or ":" not in base for base in outside)


def test_the_image_runs_as_the_charts_user_and_sets_nothing_that_beats_a_settings_file():
    base = stages()["base"]
    user = VALUES["podSecurityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in base
    assert f"--chown={user}:{user} /out/data /var/lib/plugrank" in base
    assert 'ENTRYPOINT ["/usr/local/bin/plugrank"]' in base
    assert "PLUGRANK__" not in DOCKERFILE


@pytest.mark.parametrize(
    ("final", "library"), [("cpu", "onnxruntime"), ("cuda", "onnxruntime-cuda")]
)
def test_the_image_has_onnxruntime_where_the_program_looks(final, library):
    [path] = re.findall(r"ORT_DYLIB_PATH=(\S+)", stages()["base"])
    folder, name = path.rsplit("/", 1)
    assert f"COPY --from={library} /out {folder}" in stages()[final]
    assert f"/out/{name}" in stages()[library]
    assert stages()[final].startswith("FROM base\n")


def test_the_image_has_the_shop_and_a_writable_store_folder():
    base = stages()["base"]
    for part in ("bundle", "bundle-idrec", "dataset"):
        assert f"COPY models/simshop/{part} /usr/local/share/plugrank/simshop/{part}" in base
    assert '"share/plugrank/simshop"' in (ROOT / "src/demo/shop.rs").read_text()
    assert "XDG_STATE_HOME=/var/lib/plugrank" in base


def test_a_build_without_a_target_makes_the_cpu_image():
    assert list(stages())[-1] == "cpu"


def service(name: str) -> dict:
    return COMPOSE["services"][name]


def test_compose_has_every_role():
    for role in ROLES:
        assert service(role)["command"] == ["serve", "--role", role]
        assert service(role)["profiles"] == ["split"]
    assert service("plugrank")["command"] == ["serve"]
    assert "profiles" not in service("plugrank")


def test_compose_variables_are_settings_of_the_program():
    known = default_settings()
    for name, of in COMPOSE["services"].items():
        for variable in of.get("environment", {}):
            prefix, *sections, key = variable.split("__")
            assert prefix == "PLUGRANK", name
            keys = known
            for section in sections:
                keys = keys[section.lower()]
            assert key.lower() in keys, variable


def test_compose_roles_have_the_peers_they_call():
    calls = {
        role: {
            key.removeprefix("PLUGRANK__PEERS__").removesuffix("_URL").lower(): url
            for key, url in service(role)["environment"].items()
            if "__PEERS__" in key
        }
        for role in ROLES
    }
    assert {role: set(of) for role, of in calls.items()} == {
        "gateway": {"retrieval", "embedding", "scoring", "reranking"},
        "retrieval": {"embedding"},
        "embedding": set(),
        "scoring": {"embedding"},
        "reranking": {"embedding"},
    }
    for role, of in calls.items():
        for peer, url in of.items():
            assert url == f"http://{peer}:8080"
            assert set(service(role)["networks"]) & set(service(peer)["networks"]), (role, peer)


def test_compose_opens_one_port_to_this_machine_alone():
    open_ = {name: of["ports"] for name, of in COMPOSE["services"].items() if "ports" in of}
    assert open_.keys() == {"plugrank", "gateway"}
    assert all(port.startswith("127.0.0.1:") for ports in open_.values() for port in ports)
    assert COMPOSE["networks"]["inner"] == {"internal": True}


def test_compose_confines_every_container():
    for name, of in COMPOSE["services"].items():
        assert of["read_only"] is True, name
        assert of["cap_drop"] == ["ALL"]
        assert of["security_opt"] == ["no-new-privileges:true"]


def test_compose_grace_period_covers_the_drain_time():
    grace = default_settings()["server"]["grace_ms"]
    for role in [*ROLES, "plugrank"]:
        assert int(service(role)["stop_grace_period"].removesuffix("s")) * 1000 > grace
