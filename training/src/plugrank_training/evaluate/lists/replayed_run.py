"""A training run's part, opened for replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from plugrank_training.evaluate.lists.context import Context
from plugrank_training.evaluate.lists.replay import Replay
from plugrank_training.evaluate.lists.requests import make_requests, of_some_users, snapshot_before
from plugrank_training.evaluate.lists.retrieval import Retrieval, RetrievalOptions
from plugrank_training.fit.prepare import Prepared
from plugrank_training.fit.run import Run


class NoRequestsError(ValueError):
    """No user of a part clicks an item that is new to them, so that lists cannot be evaluated."""


@dataclass(frozen=True)
class ListOptions:
    """What is replayed."""

    part: str = "valid"
    moments: str = "cut"
    # Users at most; None: all.
    users: int | None = None
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)


def open_replay(run: Run, prepared: Prepared, options: ListOptions) -> tuple[Replay, Context]:
    """Requests of a part, the catalog and log as they stood when it began, and what lists are compared with."""
    part = getattr(run.split, options.part)
    every = make_requests(run.dataset, part, options.part, options.moments, run.split.exclude_items)
    requests = of_some_users(every, options.users)
    if not requests.requests:
        raise NoRequestsError(f"lists: nobody clicks anything new in the {options.part} part")
    log, as_of = snapshot_before(run.dataset, part, run.split.exclude_items)
    retrieval = Retrieval(log, options.retrieval, as_of)
    replay = Replay(requests, retrieval, prepared.catalog, run.history, run.recent, run.config.batch.eval_rows)
    return replay, Context(requests, part, retrieval.available, retrieval.impressions == 0)
