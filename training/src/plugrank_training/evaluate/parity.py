"""Train-serve parity: what `plugrank serve` answers for test impressions against what torch predicted for them."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from plugrank_training.evaluate.metrics import auc
from plugrank_training.progress_bar import progress_bar

COLUMNS = ("user_id", "item_id", "timestamp", "label", "score")


@dataclass(frozen=True)
class Prediction:
    """A test impression and the torch model's calibrated click probability for it."""

    user_id: str
    item_id: str
    timestamp: int
    label: int
    score: float


def read_predictions(file: Path, rows: int, seed: int = 0) -> list[Prediction]:
    """At most `rows` predictions of a parquet file of `train`, drawn evenly, in the file's order."""
    # The bundle is the first seed's; `score` is the mean over all.
    first = next((name for name in pq.read_schema(file).names if name.startswith("score_seed")), "score")
    table = pq.read_table(file, columns=[*COLUMNS[:-1], first]).rename_columns(list(COLUMNS))
    if table.num_rows > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(table.num_rows, rows, replace=False))
        table = table.take(chosen)
    return [Prediction(**row) for row in table.to_pylist()]


def add_parity(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`parity`."""
    parser = commands.add_parser(
        "parity",
        help="compare a running server's click probabilities with the torch model's",
        description="Ranks test impressions through the REST API, each with its history cut at its own moment, and\n"
        "compares `ctr` with the predictions that `train` wrote. Fails when one differs by more than the tolerance.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, help="predictions/unified.parquet of `train`")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the server (default: http://127.0.0.1:8080)")
    parser.add_argument("--rows", type=int, default=200, metavar="N", help="impressions to ask for (default: 200)")
    parser.add_argument("--tolerance", type=float, default=1e-4, metavar="X", help="absolute (default: 1e-4)")
    parser.set_defaults(run=run_parity)


def run_parity(arguments: argparse.Namespace) -> None:
    """Ask the server and compare; raises `ValueError` when a difference is too large."""
    if not arguments.url.startswith(("http://", "https://")):
        raise ValueError(f"--url {arguments.url}: expected an address such as http://127.0.0.1:8080")
    predictions = read_predictions(arguments.predictions, arguments.rows)
    served = np.array([ask(arguments.url, one) for one in progress_bar(predictions, desc="ranking", unit="impression")])
    offline = np.array([one.score for one in predictions])
    labels = np.array([one.label for one in predictions])
    differences = np.abs(served - offline)
    print(f"{len(predictions)} impressions, largest difference {differences.max():.2e}")
    if 0 < labels.sum() < len(labels):
        print(f"AUC served {auc(labels, served):.6f}, offline {auc(labels, offline):.6f}")
    worst = int(differences.argmax())
    if not differences[worst] <= arguments.tolerance:
        one = predictions[worst]
        raise ValueError(
            f"user {one.user_id}, item {one.item_id}, time {one.timestamp}: served {served[worst]:.6f}, "
            f"torch {one.score:.6f}; allowed is a difference of {arguments.tolerance:g}"
        )


def ask(url: str, one: Prediction) -> float:
    """`ctr` of an impression's item for its user, as of its moment."""
    body = {
        "user_id": one.user_id,
        "k": 1,
        "candidates": [one.item_id],
        "context": {"timestamp": one.timestamp},
        "budget_ms": 2000,
    }
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/rank", json.dumps(body).encode(), headers)  # noqa: S310 - http, checked
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http, checked
            reply = json.load(answer)
    except urllib.error.HTTPError as error:
        raise ValueError(f"the server answered {error.code}: {error.read().decode(errors='replace')}") from error
    if reply["degraded"] or len(reply["items"]) != 1:
        raise ValueError(f"item {one.item_id} was not scored: {json.dumps(reply)}")
    return float(reply["items"][0]["ctr"])


def add_sample_predictions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`sample-predictions`."""
    parser = commands.add_parser(
        "sample-predictions",
        help="write some predictions as JSON",
        description="Draws test impressions from a predictions file and writes them as JSON, for a parity test.",
    )
    parser.add_argument("predictions", type=Path, help="predictions/unified.parquet of `train`")
    parser.add_argument("out", type=Path, help="JSON file to write")
    parser.add_argument("--rows", type=int, default=200, metavar="N", help="impressions to draw (default: 200)")
    parser.set_defaults(run=run_sample_predictions)


def run_sample_predictions(arguments: argparse.Namespace) -> None:
    """Write the drawn impressions."""
    drawn = read_predictions(arguments.predictions, arguments.rows)
    lines = ",\n".join(json.dumps(vars(one)) for one in drawn)
    arguments.out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
