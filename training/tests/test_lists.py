"""Offline evaluation of lists: retrieval as in the service, and metrics of the resulting lists."""

from __future__ import annotations

import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from planted import write_planted
from plugrank_training.cli import main
from plugrank_training.data.content_vectors import unit_rows
from plugrank_training.data.covisit_neighbours import WINDOW, covisit_neighbours
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.splits import make_split
from plugrank_training.evaluate.lists.context import Context
from plugrank_training.evaluate.lists.fusion import RankedList, fuse
from plugrank_training.evaluate.lists.log_snapshot import LogSnapshot
from plugrank_training.evaluate.lists.metrics import LONG, SHORT, RankedLists, interval, score_lists
from plugrank_training.evaluate.lists.requests import Request, Requests, make_requests, of_some_users, snapshot_before
from plugrank_training.evaluate.lists.retrieval import SOURCES, Retrieval, RetrievalOptions
from plugrank_training.evaluate.lists.rows import PLAIN
from plugrank_training.evaluate.lists.served import served_answer
from plugrank_training.evaluate.lists.shown import clicked_share, shown_clicks
from plugrank_training.report.lists import lists_section
from shops import random_dataset


def ids(*items: int) -> np.ndarray:
    return np.array(items, dtype=np.int64)


def test_fusion_sums_reciprocal_ranks_and_keeps_ties_in_order() -> None:
    merged = fuse([RankedList(ids(5, 6)), RankedList(ids(7, 5)), RankedList(ids(8))])
    assert merged.items.tolist() == [5, 7, 8, 6]
    assert merged.named[0].tolist() == [True, True, False]
    heavy = fuse([RankedList(ids(1, 2)), RankedList(ids(2, 1), weight=3.0)])
    assert heavy.items.tolist() == [2, 1]
    assert fuse([]).items.tolist() == []


def test_fusion_against_a_plain_sum() -> None:
    random = np.random.default_rng(3)
    lists = [RankedList(random.permutation(30)[: random.integers(0, 20)], float(w)) for w in (1, 2, 1)]
    score = np.zeros(30)
    for one in lists:
        score[one.items] += one.weight / (61.0 + np.arange(len(one.items)))
    merged = fuse(lists).items
    assert set(merged.tolist()) == set(np.flatnonzero(score).tolist())
    assert (np.diff(score[merged]) <= 1e-12).all()


def test_neighbours_are_the_cosine_of_clicks_close_in_time() -> None:
    # User 0 clicks a, b, c; user 1 a, b; user 2 d alone.
    found = covisit_neighbours(ids(0, 0, 0, 1, 1, 2), ids(0, 1, 2, 0, 1, 3), 4).toarray()
    assert np.isclose(found[0, 1], 2 / np.sqrt(2 * 2))
    assert np.isclose(found[0, 2], 1 / np.sqrt(2 * 1))
    assert np.allclose(found, found.T)
    assert found[3].sum() == 0
    # Beyond the window two clicks are not together; a repeated click counts once.
    far = covisit_neighbours(np.zeros(WINDOW + 2, np.int64), np.arange(WINDOW + 2), WINDOW + 2).toarray()
    assert far[0, WINDOW] > 0
    assert far[0, WINDOW + 1] == 0
    assert covisit_neighbours(ids(0, 0, 0), ids(0, 1, 0), 2).toarray()[0, 1] == 1.0


def snapshot(**changes: object) -> LogSnapshot:
    """Six items: 0 and 1 are clicked together, 2 most often, 4 is new, 5 comes later."""
    user = ids(0, 0, 1, 1, 2, 2, 3, 3, 4)
    item = ids(0, 1, 0, 1, 2, 3, 2, 3, 2)
    base = LogSnapshot(
        created_at=ids(1, 1, 1, 1, 50, 900),
        dated=np.array([True] * 6),
        categories=[["x"], ["x"], ["y"], ["y"], ["y"], ["x"]],
        rank=np.arange(6),
        user=user,
        item=item,
        timestamp=ids(*range(10, 19)),
        label=ids(1, 1, 1, 1, 1, 0, 1, 0, 1),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def only(source: str, **more: object) -> RetrievalOptions:
    shares = tuple(1.0 if one.value == source else 0.0 for one in SOURCES)
    return dataclasses.replace(RetrievalOptions(limit=3, shares=shares), **more)  # type: ignore[arg-type]


def test_sources_find_what_the_service_finds() -> None:
    vectors = unit_rows(np.array([[1, 0], [0, 1], [1, 0.1], [0.9, 0.5], [0, 1], [1, 0]], dtype=np.float32))
    clicked = ids(0)

    def named(source: str, clicks: np.ndarray) -> list[int]:
        retrieval = Retrieval(snapshot(), only(source), as_of=100)
        found = retrieval.retrieve(clicks, vectors)
        own = found.named[:, [one.value for one in SOURCES].index(source)]
        return found.items[own].tolist()

    assert named("co_visitation", clicked) == [1]
    # Nearest to item 0 by cosine; item 5 is nearest of all, but not in the catalog yet.
    assert named("ann", clicked) == [2, 3, 1]
    assert named("ann", ids()) == []
    # 2 was clicked 3 times, 1 and 0 twice, 1 later; 4 is new and goes before 3.
    assert named("popular", ids()) == [2, 1, 0]
    assert named("popular", clicked) == [2, 1, 4]
    assert named("fresh", ids()) == [4, 3, 2]
    # Of the one category clicked.
    assert named("category", clicked)[0] == 1
    assert set(named("category", ids())) == {0, 1, 2}


def test_popularity_decays_where_times_are_real() -> None:
    # Item 0 was clicked twice long ago, item 2 once 40 days later; a half-life is 30 days.
    late = 40 * 86_400_000
    log = snapshot(user=ids(0, 1, 2), item=ids(0, 0, 2), timestamp=ids(10, 20, late), label=ids(1, 1, 1))
    assert Retrieval(log, only("popular"), as_of=late + 1).popular[:2].tolist() == [2, 0]
    order = dataclasses.replace(log, timed=False)
    assert Retrieval(order, only("popular"), as_of=late + 1).popular[:2].tolist() == [0, 2]


def test_candidates_are_unseen_available_and_fill_the_limit() -> None:
    retrieval = Retrieval(snapshot(), RetrievalOptions(limit=4), as_of=100)
    found = retrieval.retrieve(ids(2), None)
    assert len(found.items) == 4
    assert sorted(found.items.tolist()) == [0, 1, 3, 4]
    assert found.named.any(axis=1).all()


def test_recall_and_ndcg_by_hand() -> None:
    requests = [Request(0, 0, ids(), ids(1, 2)), Request(1, 0, ids(), ids(9))]
    items = np.full((2, LONG), -1, dtype=np.int64)
    items[0, :3] = [5, 1, 7]
    items[0, 50] = 2
    items[1, 0] = 9
    found = score_lists(items, requests)
    assert found.recall_short.tolist() == [0.5, 1.0]
    assert found.recall_long.tolist() == [1.0, 1.0]
    assert np.allclose(found.ndcg_short, [(1 / np.log2(3)) / (1 + 1 / np.log2(3)), 1.0])


def test_clicked_share_of_items_shown_later() -> None:
    # User 0 is shown 1 (clicked), 2 (refused), and 3 before the request only; user 1 is shown 5 twice, of which the
    # first time counts.
    part = Examples(
        np.array([0, 0, 0, 1, 1], np.int32),
        np.array([3, 1, 2, 5, 5], np.int32),
        ids(4, 10, 11, 12, 13),
        np.array([1, 1, 0, 0, 1], np.int8),
    )
    requests = Requests("test", (Request(0, 5, ids(), ids(1)), Request(1, 5, ids(), ids(5))), {})
    context = Context(requests, part, np.ones(9, bool), np.zeros(9, bool))

    def lists(*rows: list[int]) -> RankedLists:
        items = np.full((2, LONG), -1, dtype=np.int64)
        for row, chosen in enumerate(rows):
            items[row, : len(chosen)] = chosen
        return RankedLists(items, np.zeros((2, LONG, len(SOURCES)), bool), np.full((2, LONG), np.nan))

    found = shown_clicks([lists([3, 1, 2, 7], [5, 8])], context)
    assert found.shown.tolist() == [[2, 1]]
    assert found.clicked.tolist() == [[1, 0]]
    share = clicked_share(found)
    assert share is not None
    assert abs(share["value"] - 1 / 3) < 1e-9
    # Draws of both users: 2 of 4, 1 of 3 or 0 of 2.
    assert share["low"] == 0.0
    assert share["high"] == 0.5
    other = shown_clicks([lists([1], [8])], context)
    over = clicked_share(found, other)
    assert over is not None
    assert abs(over["value"] - (1 / 3 - 1)) < 1e-9
    assert clicked_share(shown_clicks([lists([7], [8])], context)) is None
    assert clicked_share(found.of(np.array([True, False]))) == {"value": 0.5, "low": 0.5, "high": 0.5}
    # Beyond the first places nothing counts.
    assert shown_clicks([lists([7] * SHORT + [1], [])], context).shown.sum() == 0


def test_intervals_cover_seeds_and_users() -> None:
    random = np.random.default_rng(0)
    users = random.normal(0.1, 1.0, 400)
    same = interval(np.stack([users, users]))
    assert same.low < same.value < same.high
    assert abs((same.high - same.low) / 2 - 1.96 / 20) < 0.015
    apart = interval(np.stack([users - 1.0, users + 1.0]))
    assert apart.high - apart.low > 1.5 * (same.high - same.low)


def test_requests_hold_only_what_came_before_and_after() -> None:
    data = random_dataset(4)
    cut = int(np.quantile(data.timestamp, 0.7))
    part = Examples.of(data, np.flatnonzero(data.timestamp >= cut))
    begin = int(part.timestamp.min())
    made = make_requests(data, part, "test", "cut", None)
    clicked = data.label == 1
    for request in made.requests:
        own = data.user == request.user
        before = own & clicked & (data.timestamp < begin)
        assert request.moment == begin
        assert set(request.clicks.tolist()) == set(data.item[before].tolist())
        after = set(data.item[own & clicked & (data.timestamp >= begin)].tolist())
        assert set(request.hits.tolist()) == after - set(request.clicks.tolist())
        if len(request.clicks):
            newest = data.timestamp[before].max()
            assert request.clicks[0] in data.item[before & (data.timestamp == newest)]
    # Nobody is dropped without a count.
    counted = len(made.requests) + made.left_out["users without a later click"]
    counted += made.left_out["users whose later clicks are no new ones"]
    assert counted == len(np.unique(part.user))
    few = of_some_users(made, 5)
    assert len(few.requests) == 5
    assert sum(few.left_out.values()) - sum(made.left_out.values()) == len(made.requests) - 5
    assert of_some_users(made, 10_000) is made
    rolling = make_requests(data, part, "test", "rolling", None)
    assert len(rolling.requests) > len(made.requests)
    log, as_of = snapshot_before(data, part, None)
    assert as_of == begin
    assert len(log.user) == int((data.timestamp < begin).sum())


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("lists") / "set")


CONFIG = """
calibration = "platt"
[text]
dim = 16
layers = 1
heads = 2
vocabulary = 200
max_tokens = 12
steps = 150
learning_rate = 0.005
[image]
encoder = "none"
[history]
clicks = 15
impressions = 15
[ppm]
epochs = 2
learning_rate = 0.005
[host]
popularity = true
[lists]
share = 0.5
negatives = 20
[retrieval]
share = 0.1
[unified]
epochs = 2
learning_rate = 0.005
[batch]
rows = 96
"""


def test_the_command_measures_every_row_once(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    out = tmp_path / "out"
    arguments = ["lists", "--dataset", str(planted), "--out", str(out), "--config", str(config), "--limit", "40"]
    assert main([*arguments, "--part", "test", "--seeds", "2", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "each with its own retrieval" in printed
    report = json.loads((out / "lists.json").read_text())
    names = [*PLAIN, "idrec", "idrec-similarity", "unified"]
    assert list(report["rows"]) == names
    for name in names:
        for kind in ("own", "fixed"):
            row = report["rows"][name][kind]
            assert row["recall@20"]["low"] <= row["recall@20"]["value"] <= row["recall@20"]["high"]
            assert row["recall@20"]["value"] <= row["recall@100"]["value"]
            assert 0 < row["coverage"] <= 1
    fixed = {name: report["rows"][name]["fixed"] for name in names}
    for name in names:
        clicked = fixed[name]["clicked@20"]
        assert fixed[name]["shown_places"] > 0
        assert 0 <= clicked["low"] <= clicked["value"] <= clicked["high"] <= 1
        if name != "unified":
            over = report["unified_over"][name]["fixed"]["clicked@20"]["value"]
            assert abs(over - (fixed["unified"]["clicked@20"]["value"] - clicked["value"])) < 1e-9
    # The same candidates, in another order: all of them fit into the long list.
    assert len({round(row["recall@100"]["value"], 9) for row in fixed.values()}) == 1
    assert fixed["unified"]["retrieved"] == fixed["idrec"]["retrieved"]
    # A user likes one colour: models that learn it make better lists than popularity.
    over = report["unified_over"]["popularity"]["fixed"]["recall@20"]
    assert over["low"] > 0
    gain = fixed["unified"]["recall@20"]["value"] - fixed["popularity"]["recall@20"]["value"]
    assert abs(over["value"] - gain) < 1e-9
    reads = json.loads((out / "test_reads.json").read_text())
    assert len(reads) == 6
    # Again with the same weights: every fit is found, and nothing new is read. With others it is refused.
    assert main([*arguments, "--part", "test", "--seeds", "2", "--device", "cpu"]) == 0
    assert json.loads((out / "test_reads.json").read_text()) == reads
    assert json.loads((out / "lists.json").read_text()) == report
    assert report["command"].startswith("python -m plugrank_training lists --dataset ")
    # Of the impressions of the validation part, the means of both seeds.
    assert set(report["valid"]) == {"idrec", "idrec-similarity", "unified"}
    assert 0.5 < report["valid"]["unified"]["auc"]["value"] < 1
    assert report["valid"]["unified"]["auc"]["deviation"] > 0
    assert "| validation impressions | auc | gauc | centred_auc | log_loss |" in printed
    capsys.readouterr()
    config.write_text(CONFIG.replace("share = 0.5", "share = 0.6"))
    assert main([*arguments, "--part", "test", "--device", "cpu"]) == 1
    assert "was scored for `lists:cut:idrec`" in capsys.readouterr().err
    config.write_text(CONFIG)
    assert main([*arguments, "--part", "valid", "--moments", "rolling", "--device", "cpu"]) == 0
    again = json.loads((out / "lists-valid-rolling.json").read_text())
    assert again["requests"] > again["users"] > 0
    section = lists_section(report)
    assert section.count("<table>") == section.count("</table>") == 6
    assert "unified over" in section
    assert "idrec-similarity, co_visitation" in section


class Server(BaseHTTPRequestHandler):
    """Answers every request with items 1 to 3, the user's own first."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        items = [{"item_id": f"i{n}", "ctr": 1 / n, "sources": ["popular", "ann"]} for n in (1, 2, 3)]
        reply = json.dumps({"items": items, "degraded": []}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_is_asked_as_of_the_moment(planted: Path, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    arguments = ["lists", "--dataset", str(planted), "--out", str(tmp_path), "--part", "test", "--url", url]
    assert main(arguments) == 0
    server.shutdown()
    report = json.loads((tmp_path / "lists.json").read_text())
    assert len(Server.asked) == report["requests"]
    data = Dataset.load(planted)
    part = make_split(data, "global").test
    assert {body["context"]["timestamp"] for body in Server.asked} == {int(part.timestamp.min())}
    requests = make_requests(data, part, "test", "cut", None).requests
    places = [data.item_ids.index(f"i{n}") for n in (1, 2, 3)]
    expected = np.mean([np.isin(places, request.hits).sum() / len(request.hits) for request in requests])
    row = report["rows"]["served"]["own"]
    assert abs(row["recall@20"]["value"] - expected) < 1e-9
    assert row["sources"]["ann"]["places"] == 1.0
    assert "popularity" in report["served_over"]
    assert main([*arguments[:-1], "nowhere"]) == 1
    with pytest.raises(ValueError, match="the answer is degraded"):
        served_answer({"items": [], "degraded": [{"stage": "scoring"}]}, "u1")
