"""The dashboard is what dashboard.py makes, reaches Grafana, and its queries are PromQL."""

import json
import re

import yaml

from chart import SPLIT, merged, render
from dashboard import COLUMNS, FILE, dashboard, text
from monitoring import promtool, queries


def test_the_committed_file_is_up_to_date():
    assert FILE.read_text() == text(), "run: python3 helm/tests/dashboard.py"


def test_the_dashboard_configmap_is_optional():
    assert not [n for n in render(SPLIT).kind("ConfigMap") if n.endswith("-dashboard")]
    values = {"dashboard": {"enabled": True, "annotations": {"grafana_folder": "Ranking"}}}
    rendered = render(merged(SPLIT, values))
    [found] = [o for n, o in rendered.kind("ConfigMap").items() if n.endswith("-dashboard")]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Ranking"}
    # Helm must leave {{status}} and $__rate_interval alone.
    assert json.loads(found["data"]["plugrank.json"]) == dashboard()


def test_panels_do_not_overlap():
    taken: dict[tuple[int, int], int] = {}
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_queries_are_promql_without_a_variable_left(tmp_path):
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries().values())]
    assert len(rules) > 30
    assert not [rule for rule in rules if "$" in rule["expr"]]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stderr


def test_legends_name_labels_that_the_query_keeps():
    labels = [
        (name, label, query)
        for name, query in queries().items()
        for label in re.findall(r"{{(\w+)}}", name)
    ]
    assert labels
    for name, label, query in labels:
        assert re.search(rf"by \([^)]*\b{label}\b", query), name
