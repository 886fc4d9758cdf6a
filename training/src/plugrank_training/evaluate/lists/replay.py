"""Lists of every model for the requests of a part, by two ways of retrieval, and what is measured of them.

`own`: what each model retrieves by itself; the served sources with the model's own item vectors for `ann`, the whole
catalog for popularity, its neighbours for co-visitation. `fixed`: one candidate set for all, the served sources with
vectors of the frozen encoders, which no model trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.content_vectors import content_vectors
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.recent_clicks import RecentClicks
from plugrank_training.evaluate.calibrate import apply
from plugrank_training.evaluate.lists.item_vectors import model_vectors
from plugrank_training.evaluate.lists.metrics import RankedLists
from plugrank_training.evaluate.lists.requests import Requests
from plugrank_training.evaluate.lists.retrieval import Candidates, Retrieval
from plugrank_training.evaluate.lists.rows import ListRow, ranked
from plugrank_training.evaluate.trained import Trained
from plugrank_training.fit.batches import Batcher
from plugrank_training.fit.train import predict_tasks
from plugrank_training.progress_bar import progress_bar

RETRIEVALS = ("own", "fixed")


@dataclass(frozen=True)
class Replay:
    """What lists are made from."""

    requests: Requests
    retrieval: Retrieval
    catalog: Catalog
    history: HistoryIndex
    # None where no model reads it.
    recent: RecentClicks | None
    # Rows of a batch when candidates are scored.
    rows: int

    def retrieve(self, vectors: np.ndarray | None) -> list[Candidates]:
        """Candidates of every request."""
        return [self.retrieval.retrieve(request.clicks, vectors) for request in self.requests.requests]

    def network(self, trained: Trained, candidates: Sequence[Candidates], name: str) -> RankedLists:
        """Lists of a network, by its output of lists, or else of clicks; with calibrated click probabilities."""
        device = self.catalog.present.device
        model = trained.network().to(device)
        requests = self.requests.requests
        lengths = [len(one.items) for one in candidates]
        user = np.repeat([request.user for request in requests], lengths).astype(np.int32)
        moment = np.repeat([request.moment for request in requests], lengths).astype(np.int64)
        item = np.concatenate([one.items for one in candidates]).astype(np.int32)
        examples = Examples(user, item, moment, np.zeros(len(user), dtype=np.int8))
        batcher = Batcher(examples, self.history, max(lengths), self.rows, device)
        batcher.recent = self.recent
        every = predict_tasks(model, self.catalog, batcher, f"{name} lists")
        logits, probability = every[:, model.list_place], apply(trained.calibration, every[:, 0])
        rows = []
        ends = np.cumsum(lengths)
        for one, first, end in zip(candidates, ends - lengths, ends, strict=True):
            # By the logit: an isotonic calibration makes equals of what is not.
            order = np.argsort(-logits[first:end], kind="stable")
            rows.append(ListRow(one.items[order], one.named[order], probability[first:end][order]))
        return ranked(rows)


@dataclass(frozen=True)
class SeedLists:
    """What one seed's models listed, by name and retrieval, and the candidates they chose from."""

    lists: dict[tuple[str, str], RankedLists]
    candidates: dict[tuple[str, str], list[Candidates]]


def replay_networks(replay: Replay, models: Mapping[str, Trained], fixed: list[Candidates]) -> SeedLists:
    """Lists of every network, each with its own retrieval and with the fixed candidates."""
    lists: dict[tuple[str, str], RankedLists] = {}
    candidates: dict[tuple[str, str], list[Candidates]] = {}
    for name, trained in models.items():
        vectors = model_vectors(trained.network().to(replay.catalog.present.device), replay.catalog)
        for kind, given in (("own", replay.retrieve(vectors)), ("fixed", fixed)):
            candidates[name, kind] = given
            lists[name, kind] = replay.network(trained, given, name)
    return SeedLists(lists, candidates)


def fixed_candidates(replay: Replay) -> list[Candidates]:
    """The candidate set that all models share."""
    vectors = content_vectors(replay.catalog)
    return [
        replay.retrieval.retrieve(request.clicks, vectors)
        for request in progress_bar(replay.requests.requests, desc="retrieval", unit="request")
    ]
