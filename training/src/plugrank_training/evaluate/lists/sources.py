"""How much of the later clicks each source of retrieval names, by the order that popular items are retrieved in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.splits import Split
from plugrank_training.evaluate.lists.metrics import by_user, interval
from plugrank_training.evaluate.lists.orders import orders, served_name
from plugrank_training.evaluate.lists.requests import Request, make_requests, of_some_users, snapshot_before
from plugrank_training.evaluate.lists.retrieval import (
    SOURCES,
    Retrieval,
    RetrievalOptions,
    RetrievalSource,
)
from plugrank_training.progress_bar import progress_bar

# Lengths that recall is taken at; the last is what each source is asked for.
LENGTHS = (20, 100, 300)
# Sources whose items are in an order of their own, and those that go by the order that is measured.
OWN_ORDER = (RetrievalSource.CO_VISITATION, RetrievalSource.FRESH)
ORDERED = (RetrievalSource.POPULAR, RetrievalSource.CATEGORY)
ALL = "all"


def measure_sources(dataset: Dataset, split: Split, users: int | None) -> dict[str, Any]:
    """Recall of later clicks in the validation part, of sources alone and of all merged (but for nearest neighbours,
    which need a model's vectors); the report."""
    part = split.valid
    requests = of_some_users(make_requests(dataset, part, "valid", "cut", split.exclude_items), users)
    log, as_of = snapshot_before(dataset, part, split.exclude_items)
    asked = requests.requests
    served = Retrieval(log, RetrievalOptions(limit=LENGTHS[-1]), as_of)
    apart = {source.value: recall(alone(served, source), asked, source) for source in OWN_ORDER}
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, order in progress_bar(orders(log.timed).items(), desc="orders", unit="order"):
        retrieval = served.ordered_by(order(log))
        found[name] = {
            f"{source.value}@{length}": values
            for source in ORDERED
            for length, values in recall(alone(retrieval, source), asked, source).items()
        } | {f"{ALL}@{length}": values for length, values in recall(retrieval, asked).items()}
    by_default = served_name(log.timed)
    return {
        "part": "valid",
        "requests": len(asked),
        "served": by_default,
        "left_out": requests.left_out,
        "apart": {
            f"{source}@{length}": float(values.mean())
            for source, each in apart.items()
            for length, values in each.items()
        },
        "orders": {
            name: {
                column: {
                    "mean": float(values.mean()),
                    "over_served": asdict(interval((values - found[by_default][column])[None])),
                }
                for column, values in columns.items()
            }
            for name, columns in found.items()
        },
    }


def alone(retrieval: Retrieval, source: RetrievalSource) -> Retrieval:
    """The same, asking one source only."""
    return retrieval.asking(tuple(1.0 if one is source else 0.0 for one in SOURCES))


def recall(
    retrieval: Retrieval, requests: Sequence[Request], source: RetrievalSource | None = None
) -> dict[int, np.ndarray]:
    """Later clicks among the first so many (`LENGTHS`) candidates over all later clicks; by length, f64 `[users]`.

    `source`: count its candidates alone, not those that fill up to the limit.
    """
    found = np.zeros((len(requests), len(LENGTHS)))
    for row, request in enumerate(requests):
        given = retrieval.retrieve(request.clicks, None)
        items = given.items if source is None else given.items[given.named[:, SOURCES.index(source)]]
        hit = np.isin(items, request.hits)
        found[row] = [hit[:length].sum() / len(request.hits) for length in LENGTHS]
    return {length: by_user(found[:, column], requests) for column, length in enumerate(LENGTHS)}


def sources_table(report: dict[str, Any]) -> str:
    """For the person at the terminal."""
    columns = list(report["orders"][report["served"]])
    width = max(len(name) for name in report["orders"])
    lines = [
        f"{report['requests']:,} users; alone: " + ", ".join(f"{k} {v:.4f}" for k, v in report["apart"].items()),
        f"{'order':{width}}"
        + "".join(f"{column:>14}" for column in columns)
        + f"  {columns[-1]} over {report['served']}",
    ]
    for name, row in report["orders"].items():
        last = row[columns[-1]]["over_served"]
        lines.append(
            f"{name:{width}}"
            + "".join(f"{row[column]['mean']:14.4f}" for column in columns)
            + f"  {last['value']:+.4f} [{last['low']:+.4f}, {last['high']:+.4f}]"
        )
    return "\n".join(lines)
