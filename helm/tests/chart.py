"""Renders the chart with the real `helm`, and finds things in what comes out."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from dataclasses import dataclass

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/plugrank"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RELEASE = "shop"
ROLES = ["gateway", "retrieval", "embedding", "scoring", "reranking"]

# The least that renders, to be changed by each test.
ALL = {"bundle": {"existingClaim": "bundles"}}
ALL_REDIS = ALL | {"store": {"kind": "redis"}, "redis": {"existingSecret": "shop-redis"}}
SPLIT = ALL_REDIS | {"topology": "split"}


def helm() -> str:
    """The helm binary: $HELM, else on the PATH, else what `cargo xtask` built."""
    built = TARGET / "tools/bin/helm"
    found = os.environ.get("HELM") or shutil.which("helm") or (built.is_file() and str(built))
    if not found:
        raise RuntimeError(
            f"no helm: set HELM, put it on the PATH, or build it into {built} "
            "(cd tools && GOBIN=... go install helm.sh/helm/v4/cmd/helm)"
        )
    return found


def merged(*layers: dict) -> dict:
    """Objects merged deeply, the later one winning; like Helm merges values files."""
    result: dict = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def run(
    command: str, *arguments: str, values: dict | None = None
) -> subprocess.CompletedProcess[str]:
    """`helm COMMAND`, with `values` as its last values file."""
    line = [helm(), command, *arguments]
    if values is not None:
        line += ["--values", "-"]
    return subprocess.run(
        line,
        input=yaml.safe_dump(values) if values is not None else None,
        capture_output=True,
        text=True,
        timeout=60,
    )


@dataclass
class Rendered:
    """The objects of one rendering."""

    objects: list[dict]

    def kind(self, kind: str) -> dict[str, dict]:
        """Objects of a kind, by name."""
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    def workloads(self) -> dict[str, dict]:
        """Deployments, StatefulSets and Jobs, by component (gateway, redis, load, ...)."""
        kinds = ("Deployment", "StatefulSet", "Job")
        return {component(o): o for o in self.objects if o["kind"] in kinds}

    def pod(self, role: str) -> dict:
        """Template of a role's pods."""
        return self.workloads()[role]["spec"]["template"]

    def container(self, role: str) -> dict:
        """The one container of a role's pods."""
        [container] = self.pod(role)["spec"]["containers"]
        return container

    def settings_text(self, role: str) -> str:
        """The settings file that a role's pods mount."""
        volumes = {v["name"]: v for v in self.pod(role)["spec"]["volumes"]}
        name = volumes["config"]["configMap"]["name"]
        return self.kind("ConfigMap")[name]["data"]["plugrank.toml"]


def component(obj: dict) -> str:
    return obj["metadata"]["labels"]["app.kubernetes.io/component"]


def template(
    values: dict, *arguments: str, file: pathlib.Path | None = None
) -> subprocess.CompletedProcess[str]:
    files = ["--values", str(file)] if file else []
    return run("template", RELEASE, str(CHART), *files, *arguments, values=values)


def render(values: dict, *arguments: str, file: pathlib.Path | None = None) -> Rendered:
    done = template(values, *arguments, file=file)
    assert done.returncode == 0, done.stderr
    return Rendered([o for o in yaml.safe_load_all(done.stdout) if o])


def refusal(values: dict, *arguments: str) -> str:
    """What helm says about values that it must refuse."""
    done = template(values, *arguments)
    assert done.returncode != 0, "helm took values that it should refuse"
    return done.stderr


def env(container: dict) -> dict[str, dict]:
    return {variable["name"]: variable for variable in container.get("env", [])}


def matches(selector: dict, labels: dict) -> bool:
    """Whether matchLabels select a set of labels."""
    return all(labels.get(key) == value for key, value in selector.items())
