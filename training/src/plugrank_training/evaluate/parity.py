"""Train-serve parity: what `plugrank serve` answers for test impressions against what torch predicted for them."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.raw_column import RawColumn, Words
from plugrank_training.evaluate.metrics import auc
from plugrank_training.models.schema import MAIN_TASK
from plugrank_training.progress_bar import progress_bar

COLUMNS = ("user_id", "item_id", "timestamp", "score")
# Columns `PLACE.NAME` of a predictions file are sent with the request.
GIVEN = ("context", "candidate", "user")


@dataclass(frozen=True)
class Prediction:
    """A test impression and the click probability that the model's own framework gives it."""

    user_id: str
    item_id: str
    timestamp: int
    score: float
    # Where the file has it.
    label: int | None = None
    # Its row of the log, whose features of the request and of the candidate are read with --bundle.
    row: int | None = None
    # Sent to the server: `context.features`, the candidate's `features` and `user.features`, by place and name.
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_predictions(file: Path, rows: int, seed: int = 0, task: str = "") -> list[Prediction]:
    """At most `rows` predictions of a parquet file, drawn evenly, in the file's order. Raises `ValueError`."""
    names = pq.read_schema(file).names
    of_task = f"{task}." if f"{task}.score" in names else ""
    # Of `train`, the bundle is the first seed's; `score` is the mean over all.
    first = next((name for name in names if name.startswith(f"{of_task}score_seed")), f"{of_task}score")
    wanted = {"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp", first: "score"}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{file}: no column {', '.join(missing)}; predictions have {', '.join(COLUMNS)}")
    wanted |= {name: plain for name, plain in ((f"{of_task}label", "label"), ("row", "row")) if name in names}
    features = [name for name in names if name.partition(".")[0] in GIVEN and "." in name]
    table = pq.read_table(file, columns=[*wanted, *features]).rename_columns([*wanted.values(), *features])
    if table.num_rows > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(table.num_rows, rows, replace=False))
        table = table.take(chosen)
    plain = table.select(list(wanted.values())).to_pylist()
    given = table.select(features).to_pylist() if features else [{}] * len(plain)
    return [Prediction(**row, given=by_place(told)) for row, told in zip(plain, given, strict=True)]


def by_place(told: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`{"context.device": "phone"}` as `{"context": {"device": "phone"}}`, without what is missing."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in told.items():
        place, _, feature = name.partition(".")
        if value is not None and value == value:
            found.setdefault(place, {})[feature] = value
    return found


DESCRIPTION = """\
Ranks test impressions through the REST API, each with its history cut at its own moment, and
compares `ctr` with predictions: those that `train` wrote, or those of any model in its own framework, a
parquet file of user_id, item_id, timestamp (milliseconds), score (a probability) and, for the AUC, label. Columns
context.NAME, candidate.NAME and user.NAME are sent as features of the request, the candidate and the user. Of a
task, TASK.score is compared with `scores`.
Fails when one differs by more than the tolerance.

With --bundle and --dataset, the bundle's graphs are run on the dataset folder here, without a server. With --url too,
that server is asked, and sent what the folder's log says of each impression's request and candidate.
"""


def add_parity(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`parity`."""
    parser = commands.add_parser(
        "parity",
        help="compare served click probabilities with those of the model's own framework",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("predictions", type=Path, help="such as predictions/unified.parquet of `train`")
    parser.add_argument("--url", help="the server (default: http://127.0.0.1:8080)")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="run this bundle's graphs in place of a server")
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="with --bundle: the folder the server has loaded")
    parser.add_argument("--allow-absent", action="append", default=[], metavar="NAME", help="a column it may lack")
    parser.add_argument("--task", default="", metavar="NAME", help="of a bundle with several (default: the main one)")
    parser.add_argument("--rows", type=int, default=200, metavar="N", help="impressions to ask for (default: 200)")
    parser.add_argument("--budget-ms", type=int, default=2000, metavar="N", help="of each request (default: 2000)")
    parser.add_argument("--tolerance", type=float, default=1e-4, metavar="X", help="absolute (default: 1e-4)")
    parser.set_defaults(run=run_parity)


def run_parity(arguments: argparse.Namespace) -> None:
    """Ask the server, or the graphs, and compare; raises `ValueError` when a difference is too large."""
    if (arguments.bundle is None) != (arguments.dataset is None):
        raise ValueError("--bundle DIR and --dataset DIR belong together")
    predictions = read_predictions(arguments.predictions, arguments.rows, task=arguments.task)
    url = arguments.url or ("" if arguments.bundle else "http://127.0.0.1:8080")
    if not url:
        served = offline(arguments.bundle, arguments.dataset, predictions, arguments.allow_absent, arguments.task)
    else:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"--url {url}: expected an address such as http://127.0.0.1:8080")
        if arguments.bundle is not None:
            predictions = with_log(predictions, arguments.bundle, arguments.dataset)
        bar = progress_bar(predictions, desc="ranking", unit="impression")
        answers = [ask(url, one, arguments.task, arguments.budget_ms) for one in bar]
        ranked = [at for at, answer in enumerate(answers) if answer is not None]
        if len(ranked) < len(answers):
            print(f"{len(answers) - len(ranked)} impressions left out: their items are not available any more")
        predictions = [predictions[at] for at in ranked]
        served = np.array([answer for answer in answers if answer is not None])
    compare(predictions, served, arguments.tolerance)


def compare(predictions: Sequence[Prediction], served: np.ndarray, tolerance: float) -> float:
    """Print and give the largest difference; raises `ValueError` when it is above the tolerance."""
    if not predictions:
        raise ValueError("there are no predictions to compare with")
    differences = np.abs(served - np.array([one.score for one in predictions]))
    print(f"{len(predictions)} impressions, largest difference {differences.max():.2e}")
    labels = np.array([one.label for one in predictions if one.label is not None])
    if len(labels) == len(predictions) and 0 < labels.sum() < len(labels):
        scores = np.array([one.score for one in predictions])
        print(f"AUC served {auc(labels, served):.6f}, offline {auc(labels, scores):.6f}")
    worst = int(differences.argmax())
    if not differences[worst] <= tolerance:
        one = predictions[worst]
        raise ValueError(
            f"user {one.user_id}, item {one.item_id}, time {one.timestamp}: served {served[worst]:.6f}, "
            f"predicted {one.score:.6f}; allowed is a difference of {tolerance:g}"
        )
    return float(differences[worst])


def offline(
    bundle: Path, dataset: Path, predictions: Sequence[Prediction], allow_absent: Sequence[str] = (), task: str = ""
) -> np.ndarray:
    """Probabilities by the bundle's graphs over a dataset folder. Raises `ValueError` for ids it does not have."""
    from plugrank_training.evaluate.bundle_scores import BundleScorer, Impressions

    data = Dataset.load(dataset)
    places = places_of(predictions, data)
    times = np.array([one.timestamp for one in predictions], dtype=np.int64)
    found = Impressions(places["user_id"], places["item_id"], times, rows_of(predictions, data, places))
    return BundleScorer(bundle, data, allow_absent).probabilities(found, task)


def with_log(predictions: Sequence[Prediction], bundle: Path, dataset: Path) -> list[Prediction]:
    """Predictions with what the log says of their requests and candidates, of what a bundle reads."""
    from plugrank_training.data.bundle_features import read_schema
    from plugrank_training.evaluate.bundle_scores import read_manifest

    data, schema = Dataset.load(dataset), read_schema(bundle, read_manifest(bundle))
    rows = rows_of(predictions, data, places_of(predictions, data))
    columns = data.log_columns
    read = [("context", one.column) for one in schema.request if not one.derive and one.column in columns]
    read += [("candidate", one.column) for one in schema.candidate if one.column in columns]

    def told(row: int) -> dict[str, Any]:
        found = {f"{place}.{name}": value_at(columns[name], row) for place, name in read if row >= 0}
        return {name: value for name, value in found.items() if value not in (None, [])}

    return [
        replace(one, given={**one.given, **by_place(told(row))})
        for one, row in zip(predictions, rows.tolist(), strict=True)
    ]


def value_at(column: RawColumn, row: int) -> Any:
    """A row of a column as a caller gives it: a text, a number, a list; None where there is none."""
    if isinstance(column, Words):
        found = [column.words[code] for code in column.codes[row].reshape(-1).tolist() if code >= 0]
    else:
        found = [value for value in column.values[row].reshape(-1).tolist() if value == value]
    return found if column.lists else next(iter(found), None)


def places_of(predictions: Sequence[Prediction], data: Dataset) -> dict[str, np.ndarray]:
    """Rows of users and items. Raises `ValueError` for an id that the folder does not have."""
    places = {}
    for name, ids in (("user_id", data.user_ids), ("item_id", data.item_ids)):
        rows = {value: row for row, value in enumerate(ids)}
        unknown = next((one for one in predictions if getattr(one, name) not in rows), None)
        if unknown:
            raise ValueError(f"{data.folder}: has no {name} `{getattr(unknown, name)}` of the predictions")
        places[name] = np.array([rows[getattr(one, name)] for one in predictions], dtype=np.int64)
    return places


def rows_of(predictions: Sequence[Prediction], data: Dataset, places: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows of the log: those that the predictions name, else the first of that user, item and time; -1 without one."""
    times = np.array([one.timestamp for one in predictions], dtype=np.int64)
    wanted = list(zip(times.tolist(), places["user_id"].tolist(), places["item_id"].tolist(), strict=True))
    asked = set(wanted) if any(one.row is None for one in predictions) else set()
    first: dict[tuple[int, int, int], int] = {}
    if asked:
        for row, key in enumerate(zip(data.timestamp.tolist(), data.user.tolist(), data.item.tolist(), strict=True)):
            if key in asked:
                first.setdefault(key, row)
    found = [first.get(key, -1) if one.row is None else one.row for one, key in zip(predictions, wanted, strict=True)]
    return np.array(found, dtype=np.int64)


def ask(url: str, one: Prediction, task: str = "", budget_ms: int = 2000) -> float | None:
    """A task's score of an impression's item for its user, as of its moment; without a name that of `click`, or else
    `ctr`: where lists have an output of their own, `ctr` is what they are ordered by.

    None for an item that is not available: it is not ranked.
    """
    body = {
        "user_id": one.user_id,
        "k": 1,
        "candidates": [{"item_id": one.item_id, "features": one.given.get("candidate", {})}],
        "context": {"timestamp": one.timestamp, "features": one.given.get("context", {})},
        "user": {"features": one.given.get("user", {})},
        "budget_ms": budget_ms,
    }
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/rank", json.dumps(body).encode(), headers)  # noqa: S310 - http, checked
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - http, checked
            reply = json.load(answer)
    except urllib.error.HTTPError as error:
        raise ValueError(f"the server answered {error.code}: {error.read().decode(errors='replace')}") from error
    if not reply["items"] and not is_available(url, one.item_id):
        return None
    if reply["degraded"] or len(reply["items"]) != 1:
        raise ValueError(f"item {one.item_id} was not scored: {json.dumps(reply)}")
    item = reply["items"][0]
    if task and "scores" in item and task not in item["scores"]:
        raise ValueError(f"the model has no task `{task}`; it has {', '.join(item['scores'])}")
    wanted = task or MAIN_TASK
    return float(item["scores"][wanted] if wanted in item.get("scores", {}) else item["ctr"])


def is_available(url: str, item_id: str) -> bool:
    """Whether the server has an item as available."""
    address = f"{url}/v1/items/{urllib.parse.quote(item_id, safe='')}"
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - http, checked
        return bool(json.load(answer)["available"])


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
