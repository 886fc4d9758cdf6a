"""Makes helm/plugrank/dashboards/plugrank.json, the Grafana dashboard.

    python3 helm/tests/dashboard.py

`test_dashboard.py` fails while the committed file is behind; `test_live_metrics.py` runs every
query in a real Prometheus that scrapes a real server.
"""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass, field

FILE = pathlib.Path(__file__).resolve().parents[1] / "plugrank/dashboards/plugrank.json"

SOURCE = {"type": "prometheus", "uid": "${source}"}
# Every series of the release, and those of rank requests alone.
ALL = 'namespace="$namespace",job=~"$job"'
RANK = f'{ALL},route="/v1/rank"'
EACH = "$__rate_interval"
SCORING = f'{ALL},role="scoring"'
COLUMNS, HEIGHT = 24, 8


def rate(metric: str, by: str = "", matchers: str = ALL) -> str:
    """Per-second increase of a counter, summed over pods."""
    of = f" by ({by})" if by else ""
    return f"sum{of} (rate({metric}{{{matchers}}}[{EACH}]))"


def quantile(share: float, histogram: str, by: str = "", matchers: str = ALL) -> str:
    """A quantile of a histogram over all pods."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, matchers)})"


@dataclass
class Panel:
    """One graph: a query for each legend."""

    title: str
    help: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    stacked: bool = False
    exemplars: bool = False
    thresholds: list[float] = field(default_factory=list)

    def json(self, number: int, x: int, y: int) -> dict:
        custom = {"fillOpacity": 10 if not self.stacked else 40, "showPoints": "never"}
        if self.stacked:
            custom["stacking"] = {"mode": "normal", "group": "A"}
        defaults: dict = {"unit": self.unit, "min": 0, "custom": custom}
        if self.thresholds:
            steps = [{"color": "green", "value": None}]
            steps += [{"color": "red", "value": value} for value in self.thresholds]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
            custom["thresholdsStyle"] = {"mode": "line"}
        return {
            "id": number,
            "type": "timeseries",
            "title": self.title,
            "description": self.help,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": HEIGHT},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "targets": [
                {
                    "refId": chr(ord("A") + n),
                    "datasource": SOURCE,
                    "expr": expression,
                    "legendFormat": legend,
                    "exemplar": self.exemplars,
                }
                for n, (legend, expression) in enumerate(self.queries.items())
            ],
        }


def each_pod(gauge: str, matchers: str = ALL) -> str:
    """A gauge by pod."""
    return f"sum by (pod) (plugrank_{gauge}{{{matchers}}})"


def each_role(metric: str) -> dict[str, str]:
    """A counter, by the role that counts it."""
    return {"{{role}}": rate(f"plugrank_{metric}", "role")}


def quantiles(histogram: str, matchers: str = ALL) -> dict[str, str]:
    return {
        f"p{100 * share:g}": quantile(share, histogram, "", matchers) for share in (0.5, 0.95, 0.99)
    }


def rows() -> dict[str, list[Panel]]:
    """Panels of each row, by its title; the order an operator asks in."""
    requests = "plugrank_http_requests_total"
    seconds = "plugrank_http_request_duration_seconds"
    return {
        "Answers": [
            Panel(
                "Rank requests a second",
                "By HTTP status. 429 and 503 are refusals.",
                {"{{status}}": rate(requests, "status", RANK)},
                "reqps",
                stacked=True,
            ),
            Panel(
                "Latency of rank answers",
                "From the request's head to its answer, at the server.",
                quantiles(seconds, RANK),
                "s",
                exemplars=True,
            ),
            Panel(
                "Degraded share",
                "Of the answers with status 200: what fell to a lower rung, by stage and cause.",
                {
                    "{{stage}}: {{cause}}": rate("plugrank_degraded_total", "stage, cause")
                    + " / scalar("
                    + rate(requests, "", f'{RANK},status="200"')
                    + ")"
                },
                "percentunit",
            ),
        ],
        "Budget": [
            Panel(
                "p99 of each stage",
                "Compare with its share: budget.shares of budget.default_ms.",
                {
                    "{{stage}}": quantile(0.99, "plugrank_stage_duration_seconds", "stage"),
                },
                "s",
                exemplars=True,
            ),
            Panel(
                "p99 of a stage against its share",
                "What the ladder goes by: at 1 a stage steps down (budget.ladder.down_at).",
                {"{{stage}}": f"max by (stage) (plugrank_stage_p99_share{{{ALL}}})"},
                "percentunit",
                thresholds=[1],
            ),
            Panel(
                "Time spent of what was allotted",
                "p99 over single requests; what a stage leaves is lent to the next.",
                {"{{stage}}": quantile(0.99, "plugrank_stage_budget_used_ratio", "stage")},
                "percentunit",
            ),
            Panel(
                "Rung of each stage",
                "0 is the best; the worst pod's.",
                {"{{stage}}": f"max by (stage) (plugrank_rung{{{ALL}}})"},
                width=6,
            ),
            Panel(
                "Answers by rung",
                "The lowest rung an answer touched.",
                {"{{rung}}": rate("plugrank_answers_total", "rung")},
                "ops",
                width=6,
                stacked=True,
            ),
            Panel(
                "Steps of the ladder",
                "A second, by stage and direction.",
                {"{{stage}} {{direction}}": rate("plugrank_rung_steps_total", "stage, direction")},
                "ops",
                width=6,
            ),
            Panel(
                "Stages cut or failed a second",
                "Cut: not done within the time given.",
                {
                    "{{stage}}: {{outcome}}": rate(
                        "plugrank_stage_duration_seconds_count",
                        "stage, outcome",
                        f'{ALL},outcome!="completed"',
                    )
                },
                "ops",
                width=6,
            ),
        ],
        "Admission": [
            Panel(
                "Requests not let in",
                "By cause: over the limits (429), or not to be answered in time (503).",
                {"{{cause}}": rate("plugrank_rejected_total", "cause")},
                "ops",
            ),
            Panel(
                "When a new request would be answered",
                "Predicted from the backlog; beyond its budget it is refused.",
                {"{{pod}}": f"max by (pod) (plugrank_rank_predicted_seconds{{{ALL}}})"},
                "s",
            ),
            Panel(
                "Calls refused by a role's admission",
                "A role had max_in_flight calls already.",
                each_role("calls_rejected_total"),
                "ops",
            ),
        ],
        "Batches of scoring": [
            Panel(
                "Age of the oldest entry",
                "When its batch closed. What autoscaling.queueAgeMs goes by.",
                quantiles("plugrank_batch_oldest_seconds", SCORING),
                "s",
            ),
            Panel(
                "Run time",
                "Of a batch, in the worker.",
                quantiles("plugrank_batch_run_seconds", SCORING),
                "s",
            ),
            Panel(
                "Why batches close",
                "worker_idle: waiting would have gained nothing. deadline: just in time.",
                {"{{reason}}": rate("plugrank_batch_closed_total", "reason", SCORING)},
                "ops",
                stacked=True,
            ),
            Panel(
                "Requests in a batch",
                "Mean.",
                {
                    "requests": rate("plugrank_batch_entries_sum", "", SCORING)
                    + " / "
                    + rate("plugrank_batch_entries_count", "", SCORING)
                },
                width=6,
            ),
            Panel(
                "Rows a second",
                "Candidates asked for, and what was run, padding included.",
                {
                    "asked for": rate("plugrank_batch_rows_total", "", SCORING),
                    "run": rate("plugrank_batch_padded_rows_total", "", SCORING),
                },
                width=6,
            ),
            Panel(
                "Entries that left, batches that failed",
                "expired: past their deadline. cancelled: the caller hung up.",
                {
                    "{{reason}}": rate("plugrank_batch_left_total", "reason", SCORING),
                    "failed": rate("plugrank_batch_failed_total", "", SCORING),
                },
                "ops",
                width=6,
            ),
            Panel(
                "Waiting",
                "Entries that wait for a batch.",
                {"{{pod}}": each_pod("batch_waiting", SCORING)},
                width=6,
            ),
        ],
        "Vectors": [
            Panel(
                "Where records come from",
                "Scored candidates, by origin of their record.",
                {"{{origin}}": rate("plugrank_ranked_rows_total", "origin")},
                "ops",
                stacked=True,
            ),
            Panel(
                "Share without a vector",
                "Candidates scored with the missing-vector.",
                {
                    "missing": rate("plugrank_ranked_rows_total", "", f'{ALL},origin="missing"')
                    + " / "
                    + rate("plugrank_ranked_rows_total")
                },
                "percentunit",
            ),
            Panel(
                "User states",
                "Found in memory, and made.",
                {
                    "in memory": rate("plugrank_user_states_cached_total"),
                    "made": rate("plugrank_user_states_encoded_total"),
                },
                "ops",
                stacked=True,
            ),
            Panel(
                "In-process tiers",
                "Bytes of item records and user states; their limit is embedding.memory_mb.",
                {
                    "{{pod}} items": each_pod("item_records_bytes"),
                    "{{pod}} users": each_pod("user_states_bytes"),
                },
                "bytes",
            ),
            Panel(
                "Encoding",
                "Items being encoded or waiting for it.",
                {"{{pod}}": each_pod("items_encoding")},
            ),
            Panel(
                "Trouble with the store",
                "Reads that failed or came late, writes not taken.",
                {
                    "reads": rate("plugrank_store_read_failures_total"),
                    "writes failed": rate("plugrank_write_back_failures_total"),
                    "writes refused": rate("plugrank_write_back_refused_total"),
                },
                "ops",
            ),
        ],
        "Processes": [
            Panel(
                "Calls in flight",
                "By role, rank requests at the gateway; the limit is max_in_flight of each.",
                {"gateway": f"sum (plugrank_rank_in_flight{{{ALL}}})"}
                | {"{{role}}": f"sum by (role) (plugrank_calls_in_flight{{{ALL}}})"},
                width=6,
            ),
            Panel(
                "Panics caught",
                "Always a defect.",
                each_role("calls_panicked_total"),
                "ops",
                width=6,
                thresholds=[0.000001],
            ),
            Panel(
                "Events a second",
                "Stored, and received again.",
                {"{{result}}": rate("plugrank_events_total", "result")},
                "ops",
                width=6,
                stacked=True,
            ),
            Panel(
                "Versions",
                "Processes of each version of the program.",
                {"{{version}}": f"count by (version) (plugrank_build_info{{{ALL}}})"},
                width=6,
            ),
        ],
    }


def variable(name: str, label: str, query: str, many: bool = False) -> dict:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": many,
        "includeAll": many,
        **({"current": {"text": "All", "value": "$__all"}} if many else {}),
    }


def dashboard() -> dict:
    panels: list[dict] = []
    y = 0
    for title, members in rows().items():
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place, "panels": []}
        )
        x, y = 0, y + 1
        for panel in members:
            if x + panel.width > COLUMNS:
                x, y = 0, y + HEIGHT
            panels.append(panel.json(len(panels) + 1, x, y))
            x += panel.width
        y += HEIGHT
    return {
        "uid": "plugrank",
        "title": "Plugrank",
        "tags": ["plugrank"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"type": "datasource", "name": "source", "label": "Source", "query": "prometheus"},
                variable("namespace", "Namespace", "label_values(plugrank_build_info, namespace)"),
                variable(
                    "job",
                    "Service",
                    'label_values(plugrank_build_info{namespace="$namespace"}, job)',
                    many=True,
                ),
            ]
        },
        "panels": panels,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
    print(f"{FILE.name} is written")
