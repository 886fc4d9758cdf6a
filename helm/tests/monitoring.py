"""PromQL of the chart, alert rules and dashboard, and Prometheus' own tools to check it with."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

import yaml

from chart import RELEASE, TARGET, Rendered
from dashboard import dashboard

# What Helm and Prometheus call the release in these tests.
NAMESPACE, JOB = "default", f"{RELEASE}-plugrank"
GRAFANA = {
    "$__rate_interval": "5m",
    "$namespace": NAMESPACE,
    "$job": f"{JOB}.*",
}
SELECTOR = re.compile(r"\b(plugrank_[a-z0-9_]+|up)\b(\{[^}]*\})?")
LABEL = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')


def tool(name: str) -> str:
    """A program of Prometheus: on the PATH, or where `cargo xtask chart` unpacked it."""
    unpacked = TARGET / "tools/prometheus/usr/bin" / name
    found = shutil.which(name) or (unpacked.is_file() and str(unpacked))
    if not found:
        raise RuntimeError(f"no {name}: run `cargo xtask chart`, or install Debian's `prometheus`")
    return found


def promtool(
    *arguments: str | pathlib.Path, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it; `given` is what it reads from its standard input."""
    line = [tool("promtool"), *arguments]
    return subprocess.run(line, input=given, capture_output=True, text=True, timeout=600)


def groups(rendered: Rendered) -> list[dict]:
    """Groups of the one PrometheusRule."""
    [rule] = rendered.kind("PrometheusRule").values()
    return rule["spec"]["groups"]


def write_rules(rendered: Rendered, folder: pathlib.Path) -> pathlib.Path:
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups(rendered)}, sort_keys=False))
    return file


def queries(rate_interval: str = "5m") -> dict[str, str]:
    """The dashboard's queries by panel and legend, with Grafana's variables filled in."""
    found = {}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for variable, value in (GRAFANA | {"$__rate_interval": rate_interval}).items():
                query = query.replace(variable, value)
            found[f"{panel['title']} | {target['legendFormat']}"] = query
    return found


def selectors(expression: str) -> set[tuple[str, frozenset[str]]]:
    """Metrics an expression reads, each with the labels it is chosen by."""
    return {
        (name, frozenset(LABEL.findall(matchers)))
        for name, matchers in SELECTOR.findall(expression)
    }
