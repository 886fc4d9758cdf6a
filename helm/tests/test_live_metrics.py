"""Every metric that the dashboard, an alert or the autoscaler reads is one the server exports."""

import os
import re
import time
from collections.abc import Iterator

import pytest
import yaml

from chart import ROOT, SPLIT, merged, render
from live import PATIENCE_S, ask, onnxruntime, program, query, scraped
from monitoring import JOB, NAMESPACE, groups, promtool, queries, selectors
from schema import LATENCY_BOUNDS

missing = program() is None or onnxruntime() is None
# `cargo xtask chart` builds the program and says so: there, nothing may be left out.
assert not (missing and "PLUGRANK" in os.environ), "PLUGRANK is set, but there is nothing to run"
pytestmark = pytest.mark.skipif(
    missing, reason="no plugrank binary or ONNX Runtime: run `cargo xtask chart`"
)

RULES = {"alerts": {"enabled": True}}
HISTOGRAM = re.compile(r"_(bucket|count|sum)$")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scraped(tmp_path_factory.mktemp("live")) as base:
        yield base


def eventually(base: str, wanted: dict[str, str]) -> dict[str, str]:
    """The wanted queries that find no series while traffic is sent."""
    until = time.monotonic() + PATIENCE_S / 3
    left = dict(wanted)
    while left and time.monotonic() < until:
        left = {name: q for name, q in left.items() if not query(base, q)}
        time.sleep(0.5 if left else 0)
    return left


def test_every_dashboard_query_returns_a_series(base: str):
    # A short window, so that the test need not wait for the five minutes of a real scrape interval.
    assert eventually(base, queries(rate_interval="20s")) == {}


def test_every_metric_of_the_alerts_is_there_with_the_labels_it_is_chosen_by(base: str):
    expressions = [
        rule["expr"] for group in groups(render(merged(SPLIT, RULES))) for rule in group["rules"]
    ]
    chosen = {pair for expression in expressions for pair in selectors(expression)}
    assert len({name for name, _ in chosen}) > 10
    wanted = {
        f"{name} by {sorted(labels)}": f"{name}{{" + ",".join(f'{x}!=""' for x in labels) + "}"
        for name, labels in chosen
    }
    assert eventually(base, wanted) == {}


def test_promtool_accepts_the_metrics_page(base: str):
    [up] = query(base, f'up{{job="{JOB}"}}')
    status, page = ask(f"http://{up['metric']['instance']}/metrics")
    assert status == 200
    assert "process_cpu_seconds_total" in page
    assert "plugrank_rung" in page
    done = promtool("check", "metrics", given=page)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_finds_metrics_that_are_not_exported(base: str):
    assert query(base, "plugrank_no_such_thing_total") == []
    [(name, labels)] = selectors('rate(plugrank_x_total{job="a",pod=~"b"}[5m])')
    assert (name, labels) == ("plugrank_x_total", {"job", "pod"})


def test_the_latency_objective_can_only_be_a_bound_of_the_histogram(base: str):
    found = query(base, "plugrank_http_request_duration_seconds_bucket")
    bounds = {series["metric"]["le"] for series in found}
    assert {str(bound) for bound in LATENCY_BOUNDS} <= bounds


def test_the_documented_adapter_rule_serves_the_autoscalers_metrics(base: str):
    text = (ROOT / "docs/deploy.md").read_text()
    [block] = re.findall(r"```yaml\n(rules:.*?)```", text, re.S)
    [rule] = yaml.safe_load(block)["rules"]
    for role in ("scoring", "embedding"):
        scaling = {"enabled": True, "queueAgeMs": 5}
        rendered = render(merged(SPLIT, {"roles": {role: {"autoscaling": scaling}}}))
        [scaler] = rendered.kind("HorizontalPodAutoscaler").values()
        [pods] = [m["pods"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods"]
        assert pods["metric"]["name"] == rule["name"]["as"]
        # The adapter adds the namespace, the pod, and the labels of the autoscaler's selector.
        asked = pods["metric"]["selector"]["matchLabels"]
        assert asked == {"role": role}
        [series] = {one["metric"]["__name__"] for one in query(base, rule["seriesQuery"])}
        matchers = f'namespace="{NAMESPACE}",pod="one",role="{asked["role"]}"'
        expression = (
            rule["metricsQuery"]
            .replace("<<.Series>>", series)
            .replace("<<.LabelMatchers>>", matchers)
            .replace("<<.GroupBy>>", "pod")
        )
        [value] = query(base, expression)
        assert value["metric"] == {"pod": "one"}


def test_the_job_is_the_name_the_rules_look_for():
    # The operator names a job after the Service when it is told nothing else.
    rendered = render(merged(SPLIT, RULES, {"serviceMonitor": {"enabled": True}}))
    [monitor] = rendered.kind("ServiceMonitor").values()
    assert "jobLabel" not in monitor["spec"]
    assert JOB in rendered.kind("Service")
    rules = yaml.safe_dump(groups(rendered), width=10000)
    for service in rendered.kind("Service"):
        assert re.search(rf'job=~"([a-z-]+\|)*{service}[|"]', rules), service
