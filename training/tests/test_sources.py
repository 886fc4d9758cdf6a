"""Orders of popular items, and the recall of retrieval's sources by them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from planted import write_planted
from plugrank_training.cli import main
from plugrank_training.data.splits import make_split
from plugrank_training.evaluate.lists.log_snapshot import LogSnapshot
from plugrank_training.evaluate.lists.orders import (
    DAY_MS,
    click_rate,
    clicks,
    impressions,
    orders,
    recent_clicks,
    surest_click_rate,
)
from plugrank_training.evaluate.lists.requests import make_requests, snapshot_before
from plugrank_training.evaluate.lists.retrieval import Retrieval, RetrievalOptions, RetrievalSource
from plugrank_training.evaluate.lists.sources import alone, measure_sources, recall
from shops import random_dataset


def log_of(rows: list[tuple[int, int, int]], items: int) -> LogSnapshot:
    """Rows of item, time and label."""
    item, timestamp, label = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return LogSnapshot(
        created_at=np.zeros(items, np.int64),
        dated=np.ones(items, bool),
        categories=[["x"]] * items,
        rank=np.arange(items),
        user=np.arange(len(item)),
        item=item,
        timestamp=timestamp,
        label=label,
    )


def test_orders_by_hand() -> None:
    # Item 0: 3 clicks of 4, the first two 60 days before the last; item 1: 2 of 2, both late; item 2: never shown.
    late = 60 * DAY_MS
    log = log_of([(0, 0, 1), (0, 0, 1), (0, late, 1), (0, late, 0), (1, late, 1), (1, late, 1)], 3)
    assert clicks(log).tolist() == [3, 2, 0]
    assert impressions(log).tolist() == [4, 2, 0]
    assert np.allclose(recent_clicks(log, 30.0), [1 + 2 / 4, 2, 0])
    # The mean of all is 5 of 6.
    assert np.allclose(click_rate(log, 6.0), [(3 + 5) / 10, (2 + 5) / 8, 5 / 6])
    assert recent_clicks(log_of([], 2), 30.0).tolist() == [0, 0]


def test_the_surest_rate_agrees_with_known_bounds() -> None:
    # Worked out by hand from the formula: 10 of 100 at 95% gives [0.0552, 0.1744], 1 of 1 a bound of 0.2065.
    rows = [(0, 0, int(n < 10)) for n in range(100)] + [(1, 0, 1)] + [(2, 0, 0)] * 50
    assert np.allclose(surest_click_rate(log_of(rows, 4)), [0.05523, 0.20655, 0.0, 0.0], atol=1e-4)


def test_half_lives_need_real_times() -> None:
    assert any("half-life" in name for name in orders(timed=True))
    assert not any("half-life" in name for name in orders(timed=False))


def test_recall_of_one_source_excludes_fill_items() -> None:
    data = random_dataset(4)
    part = make_split(data, "global").valid
    requests = make_requests(data, part, "valid", "cut", None).requests
    retrieval = Retrieval(
        *snapshot_before(data, part, None)[:1], RetrievalOptions(limit=300), int(part.timestamp.min())
    )
    nothing = alone(retrieval, RetrievalSource.ANN)
    assert recall(nothing, requests)[300].mean() > 0
    assert recall(nothing, requests, RetrievalSource.ANN)[300].sum() == 0
    # Every item of a small catalog is among 300.
    assert recall(alone(retrieval, RetrievalSource.POPULAR), requests, RetrievalSource.POPULAR)[300].min() == 1


def test_sources_over_the_served_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = write_planted(tmp_path / "set"), tmp_path / "sources.json"
    assert main(["sources", "--dataset", str(folder), "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    served = report["orders"][report["served"]]
    assert list(served) == [f"{kind}@{length}" for kind in ("popular", "category", "all") for length in (20, 100, 300)]
    for columns in report["orders"].values():
        for column, row in columns.items():
            over = row["over_served"]
            assert abs(row["mean"] - served[column]["mean"] - over["value"]) < 1e-9
            assert over["low"] <= over["value"] <= over["high"]
        assert columns["all@100"]["mean"] <= columns["all@300"]["mean"]
    printed = capsys.readouterr().out
    assert all(name in printed for name in report["orders"])
    assert main(["sources", "--dataset", str(folder), "--users", "0"]) == 1


def test_the_order_decides_what_is_popular() -> None:
    data = random_dataset(4)
    report = measure_sources(data, make_split(data, "global"), None)
    part = make_split(data, "global").valid
    log, as_of = snapshot_before(data, part, None)
    retrieval = Retrieval(log, RetrievalOptions(), as_of)
    score = np.arange(len(data.item_ids), dtype=np.float64)
    turned = retrieval.ordered_by(score)
    assert turned.popular.tolist() == [item for item in score.argsort()[::-1].tolist() if retrieval.available[item]]
    assert retrieval.popular.tolist() != turned.popular.tolist()
    assert report["requests"] == len(make_requests(data, part, "valid", "cut", None).requests)
