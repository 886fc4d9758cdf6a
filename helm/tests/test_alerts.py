"""Alert rules: valid for Prometheus, and firing exactly when they should."""

import pathlib
import shutil

import pytest
import yaml

from chart import ALL, ALL_REDIS, ROOT, SPLIT, Rendered, merged, render
from monitoring import groups, promtool, write_rules

CASES = pathlib.Path(__file__).with_name("alert_cases.yaml")
ON = {"alerts": {"enabled": True}}


def alerts(rendered: Rendered) -> list[dict]:
    found = [rule for group in groups(rendered) for rule in group["rules"] if "alert" in rule]
    assert found, "the rendered PrometheusRule has no alert"
    return found


@pytest.mark.parametrize("values", [ALL, ALL_REDIS, SPLIT], ids=["all", "all-redis", "split"])
def test_prometheus_accepts_the_rules(values, tmp_path):
    done = promtool("check", "rules", write_rules(render(merged(values, ON)), tmp_path))
    assert done.returncode == 0, done.stderr


def test_alert_cases_pass_in_promtool(tmp_path):
    write_rules(render(merged(SPLIT, ON)), tmp_path)
    shutil.copy(CASES, tmp_path)
    done = promtool("test", "rules", tmp_path / CASES.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    expected: dict[str, set[bool]] = {}
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for check in case["alert_rule_test"]:
            expected.setdefault(check["alertname"], set()).add(bool(check.get("exp_alerts")))
    assert expected.keys() == {rule["alert"] for rule in alerts(render(merged(SPLIT, ON)))}
    assert all(outcomes == {True, False} for outcomes in expected.values()), expected


def test_thresholds_come_from_the_values():
    given = {
        "alerts": {
            "latency": {"seconds": 0.1, "objective": 0.995},
            "availability": {"objective": 0.9999},
            "degradedShare": 0.123,
            "rejectedShare": 0.234,
            "missingShare": 0.345,
            "featureDrift": 0.543,
            "eventErrorShare": 0.456,
            "batchOldestSeconds": 0.567,
            "storeReadFailuresPerSecond": 67,
            "notFiniteShare": 0.678,
            "noTrafficFor": "7m",
            "eventInvalidShare": 0.789,
            "certificateDays": 11,
        }
    }
    rendered = render(merged(SPLIT, ON, given))
    rules = yaml.safe_dump(groups(rendered), width=1000)
    for said in (
        "0.123",
        "0.234",
        "0.345",
        "0.456",
        "0.567",
        "> 67",
        "0.678",
        "[7m]",
        "> 0.789",
        f"< {11 * 86400}",
        'le="0.1"',
        "1 - 0.995",
    ):
        assert said in rules.replace('\\"', '"'), said
    assert "14.4 * (1 - 0.9999)" in rules
    assert "allows 0.5%" in rules
    assert "allows 0.01%" in rules


def test_every_alert_has_severity_and_runbook():
    for rule in alerts(render(merged(SPLIT, ON))):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert {"summary", "description", "runbook_url"} <= rule["annotations"].keys()


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    rules = alerts(render(merged(SPLIT, ON)))
    assert pages == {rule["alert"] for rule in rules}
    for rule in rules:
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{rule['alert']}.md")


def test_severities_and_runbooks_come_from_the_values():
    given = {
        "alerts": {
            "severityNames": {"page": "critical", "ticket": "warning"},
            "severities": {"PlugrankNoTraffic": "info"},
            "runbooks": "https://runbooks.example/plugrank/",
        }
    }
    rules = alerts(render(merged(SPLIT, ON, given)))
    assert {rule["labels"]["severity"] for rule in rules} == {"critical", "warning", "info"}
    severities = {
        rule["labels"]["severity"] for rule in rules if rule["alert"] == "PlugrankNoTraffic"
    }
    assert severities == {"info"}
    for rule in rules:
        url = f"https://runbooks.example/plugrank/{rule['alert']}.md"
        assert rule["annotations"]["runbook_url"] == url


@pytest.mark.parametrize(
    ("enabled", "api", "made"),
    [("auto", True, 1), ("auto", False, 0), (True, False, 1), (False, True, 0)],
)
def test_rules_are_made_where_they_can_be(enabled, api, made):
    arguments = ["--api-versions", "monitoring.coreos.com/v1"] if api else []
    rendered = render(merged(SPLIT, {"alerts": {"enabled": enabled}}), *arguments)
    assert len(rendered.kind("PrometheusRule")) == made


def test_rules_select_their_own_release():
    rule = groups(render(merged(SPLIT, ON)))[0]["rules"][0]
    assert rule["labels"] == {"namespace": "default", "release": "shop"}
