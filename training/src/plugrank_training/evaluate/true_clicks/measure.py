"""Lists of a simulated shop by models and without, and the clicks that they would truly get."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from plugrank_training.data.dataset import UNDATED
from plugrank_training.evaluate.lists.item_vectors import model_vectors
from plugrank_training.evaluate.lists.log_snapshot import LogSnapshot
from plugrank_training.evaluate.lists.metrics import SHORT, interval
from plugrank_training.evaluate.lists.replay import Replay
from plugrank_training.evaluate.lists.requests import Request, Requests, distinct
from plugrank_training.evaluate.lists.retrieval import SOURCES, Candidates, Retrieval, RetrievalOptions
from plugrank_training.evaluate.lists.rows import popularity_order
from plugrank_training.evaluate.trained import Trained
from plugrank_training.evaluate.true_clicks.knowable import Log, knowable_lists
from plugrank_training.evaluate.true_clicks.shop_truth import ShopTruth, contrasting
from plugrank_training.fit.prepare import Prepared
from plugrank_training.fit.run import Run

# Rows without a network.
POPULARITY, BEST = "popularity", "best possible"
# The row that is compared, and with what.
MAIN, RIVAL = "unified", "idrec"


@dataclass(frozen=True)
class Scene:
    """Shoppers at the moment of the truth, and what there is for them."""

    truth: ShopTruth
    replay: Replay
    # Items that nobody has clicked, int64 [n].
    fresh: np.ndarray
    log: Log
    # Entries of each label that models read of a history.
    history: tuple[int, int]


def open_scene(run: Run, prepared: Prepared, truth: ShopTruth, limit: int) -> Scene:
    """The shop as a service has it at the moment: every interaction before it is known."""
    dataset = run.dataset
    before = dataset.timestamp < truth.at
    created = dataset.created_at
    if created is None:
        created = np.full(len(dataset.item_ids), UNDATED)
    log = LogSnapshot(
        created_at=created,
        dated=created != UNDATED,
        categories=dataset.categories,
        rank=dataset.item_rank,
        user=dataset.user[before],
        item=dataset.item[before],
        timestamp=dataset.timestamp[before],
        label=dataset.label[before],
    )
    retrieval = Retrieval(log, RetrievalOptions(limit=limit), truth.at)
    requests = []
    for user in truth.users.tolist():
        clicked = log.item[(log.user == user) & (log.label == 1)]
        requests.append(Request(user, truth.at, distinct(clicked[::-1]), np.zeros(0, dtype=np.int64)))
    replay = Replay(
        Requests("now", tuple(requests), {}),
        retrieval,
        prepared.catalog,
        run.history,
        run.recent,
        run.config.batch.eval_rows,
    )
    fresh = np.flatnonzero(retrieval.available & (retrieval.clicks == 0))
    history = run.config.history
    return Scene(truth, replay, fresh, Log(log.user, log.item, log.label), (history.clicks, history.impressions))


def measure(scene: Scene, models: Mapping[str, Trained], titles: Sequence[str]) -> dict[str, Any]:
    """The report: every row on all items and on those that nobody has clicked, and three shoppers side by side."""
    everything, milliseconds = lists_of_all(scene, models)
    fresh = lists_of_fresh(scene, models)
    shown = contrasting(scene.truth, np.flatnonzero(scene.replay.retrieval.available))
    return {
        "shoppers": len(scene.truth.users),
        "items": int(scene.replay.retrieval.available.sum()),
        "fresh_items": len(scene.fresh),
        "all": {name: told(scene.truth, lists) for name, lists in everything.items()},
        "fresh": {name: told(scene.truth, lists) for name, lists in fresh.items()},
        "knowable": knowable(scene, fresh),
        "gains": {kind: gains(scene.truth, lists) for kind, lists in (("all", everything), ("fresh", fresh))},
        "milliseconds": milliseconds,
        "contrast": [
            {
                "taste": scene.truth.tastes[place],
                "lists": {
                    name: [titles[item] for item in lists[place][:SHOWN].tolist()] for name, lists in everything.items()
                },
            }
            for place in shown
        ],
    }


# Titles of a list that are shown.
SHOWN = 5
Lists = Sequence[np.ndarray]


def lists_of_all(scene: Scene, models: Mapping[str, Trained]) -> tuple[dict[str, Lists], dict[str, float]]:
    """First places by each row, of what it retrieves, without what the shopper clicked before; and what one list of a
    model took, in milliseconds."""
    replay, truth = scene.replay, scene.truth
    order = popularity_order(replay.retrieval)
    free = []
    for request in replay.requests.requests:
        there = replay.retrieval.available.copy()
        there[request.clicks] = False
        free.append(there)
    lists: dict[str, Lists] = {POPULARITY: [order[there[order]][:SHORT] for there in free]}
    milliseconds = {}
    for name, trained in models.items():
        vectors = model_vectors(trained.network().to(replay.catalog.present.device), replay.catalog)
        candidates = replay.retrieve(vectors)
        begun = time.perf_counter()
        lists[name] = firsts(replay, trained, candidates, name)
        milliseconds[name] = (time.perf_counter() - begun) * 1000 / len(candidates)
    lists[BEST] = [truth.best(place, np.flatnonzero(there))[:SHORT] for place, there in enumerate(free)]
    return lists, milliseconds


def lists_of_fresh(scene: Scene, models: Mapping[str, Trained]) -> dict[str, Lists]:
    """The same of the items that nobody has clicked, all of them being candidates; by popularity they are as they come,
    newest first."""
    replay, truth = scene.replay, scene.truth
    order = popularity_order(replay.retrieval)
    items = order[np.isin(order, scene.fresh)]
    if not len(items):
        return {}
    shoppers = range(len(truth.users))
    lists: dict[str, Lists] = {POPULARITY: [items[:SHORT] for _ in shoppers]}
    given = Candidates(items, np.zeros((len(items), len(SOURCES)), dtype=bool))
    for name, trained in models.items():
        lists[name] = firsts(replay, trained, [given for _ in shoppers], f"{name}, fresh items")
    lists[BEST] = [truth.best(place, items)[:SHORT] for place in shoppers]
    return lists


def firsts(replay: Replay, trained: Trained, candidates: Sequence[Candidates], name: str) -> Lists:
    """A model's first places."""
    ranked = replay.network(trained, candidates, name).items[:, :SHORT]
    return [row[row >= 0] for row in ranked]


def told(truth: ShopTruth, lists: Lists) -> dict[str, Any]:
    """Expected clicks of the first places, and how different the lists of shoppers are."""
    clicks = expected(truth, lists)
    count = len(lists)
    member = np.zeros((count, truth.logits.shape[1]), dtype=np.int64)
    for place, items in enumerate(lists):
        member[place, items] = 1
    shared = member @ member.T
    pairs = shared[np.triu_indices(count, 1)] / max(1, max(len(items) for items in lists))
    return {
        "expected_clicks": asdict(interval(clicks[None])),
        "distinct_items": int((member.sum(axis=0) > 0).sum()),
        "overlap": float(pairs.mean()) if len(pairs) else 1.0,
    }


def knowable(scene: Scene, fresh: Mapping[str, Lists]) -> dict[str, float]:
    """How far oracles come from newest first to the best possible on fresh items, see `knowable.py`."""
    if not fresh:
        return {}
    items = np.flatnonzero(scene.replay.retrieval.available)
    oracles = knowable_lists(scene.truth, scene.log, items, scene.fresh, scene.history)
    low, high = (expected(scene.truth, fresh[name]).mean() for name in (POPULARITY, BEST))
    return {
        name: float((expected(scene.truth, lists).mean() - low) / (high - low)) if high > low else 0.0
        for name, lists in oracles.items()
    }


def expected(truth: ShopTruth, lists: Lists) -> np.ndarray:
    """Expected clicks of each shopper's first places, f64 `[shoppers]`."""
    return np.array([truth.expected_clicks(place, items) for place, items in enumerate(lists)])


def gains(truth: ShopTruth, lists: Mapping[str, Lists]) -> dict[str, Any]:
    """What the main row has over its rival, as a share of it, and how far it comes from popularity to the best."""
    if MAIN not in lists:
        return {}
    clicks = {name: expected(truth, each) for name, each in lists.items()}
    mean = {name: float(each.mean()) for name, each in clicks.items()}
    found: dict[str, Any] = {}
    if RIVAL in clicks:
        found["over_rival"] = mean[MAIN] / mean[RIVAL] - 1.0
        found["over_rival_clicks"] = asdict(interval((clicks[MAIN] - clicks[RIVAL])[None]))
    reach = mean[BEST] - mean[POPULARITY]
    found["way_to_best"] = {
        name: (mean[name] - mean[POPULARITY]) / reach if reach else 0.0
        for name in mean
        if name not in (POPULARITY, BEST)
    }
    return found
