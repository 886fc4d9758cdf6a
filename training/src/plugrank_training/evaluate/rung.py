"""What a rung of the latency ladder costs: quality and time of a running server that is pinned to one."""

from __future__ import annotations

import argparse
import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from plugrank_training.evaluate.metrics import auc
from plugrank_training.progress_bar import progress_bar

LIST = 20


@dataclass(frozen=True)
class Measured:
    """What was measured of a rung."""

    rung: str
    # Of the click probabilities of single test impressions; None where nothing is scored.
    auc: float | None
    # Share of test clicks whose item was among the first `LIST` that the server found by itself.
    hit_rate: float
    # Share of the scored rows whose vector was missing.
    missing: float
    p50_ms: float
    p99_ms: float

    def row(self) -> str:
        """A row of the table in `docs/budgets.md`."""
        quality = "" if self.auc is None else f"{self.auc:.4f}"
        return (
            f"| `{self.rung}` | {quality} | {self.hit_rate:.3f} | {self.missing:.0%} "
            f"| {self.p50_ms:.2f} ms | {self.p99_ms:.2f} ms |"
        )


def add_rung(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`rung`."""
    parser = commands.add_parser(
        "rung",
        help="measure the quality and the time of a running server that is pinned to a rung",
        description="Asks a server, pinned to a rung by budget.ladder.pin, for test impressions (AUC of its click\n"
        "probabilities) and for whole lists at the moment of test clicks (share of clicks among the first 20), each\n"
        "with the history cut at its own moment. Times are the server's own. `cargo xtask rungs` does all rungs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, help="predictions/unified.parquet of `train`")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the server (default: http://127.0.0.1:8080)")
    parser.add_argument("--rows", type=int, default=2000, metavar="N", help="impressions to ask for (default: 2000)")
    parser.set_defaults(run=run_rung)


def run_rung(arguments: argparse.Namespace) -> None:
    """Measure and print a row of the table."""
    if not arguments.url.startswith(("http://", "https://")):
        raise ValueError(f"--url {arguments.url}: expected an address such as http://127.0.0.1:8080")
    print(measure(arguments.predictions, arguments.url, arguments.rows).row(), flush=True)


def measure(predictions: Path, url: str, rows: int, seed: int = 0) -> Measured:
    """Ask the server for `rows` impressions, and for lists at the moments of those that were clicked."""
    table = pq.read_table(predictions, columns=["user_id", "item_id", "timestamp", "label"])
    if table.num_rows > rows:
        table = table.take(np.sort(np.random.default_rng(seed).choice(table.num_rows, rows, replace=False)))
    impressions = table.to_pylist()
    labels, scores, hits, times = [], [], [], []
    rung, read, missing = "full", 0, 0
    for one in progress_bar(impressions, desc="ranking", unit="impression"):
        moment = {"timestamp": one["timestamp"]}
        single = ask(url, {"user_id": one["user_id"], "k": 1, "candidates": [one["item_id"]], "context": moment})
        labels.append(one["label"])
        scores.append(single["items"][0]["ctr"] if single["items"] else None)
        if not one["label"]:
            continue
        found = ask(url, {"user_id": one["user_id"], "k": LIST, "context": moment})
        hits.append(one["item_id"] in [item["item_id"] for item in found["items"]])
        times.append(found["budget"]["spent_ms"])
        read += found["coverage"]["scored"]
        missing += found["coverage"]["missing"]
        rung = max(rung, found["rung"], key=lambda name: name != "full")
    known = [score for score in scores if score is not None]
    return Measured(
        rung=rung,
        auc=auc(np.array(labels), np.array(known)) if len(known) == len(labels) else None,
        hit_rate=float(np.mean(hits)),
        missing=missing / max(read, 1),
        p50_ms=float(np.percentile(times, 50)),
        p99_ms=float(np.percentile(times, 99)),
    )


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The server's ranking."""
    headers = {"content-type": "application/json"}
    data = json.dumps(body | {"budget_ms": 2000}).encode()
    request = urllib.request.Request(f"{url}/v1/rank", data, headers)  # noqa: S310 - http, checked
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http, checked
        reply: dict[str, Any] = json.load(answer)
    return reply
