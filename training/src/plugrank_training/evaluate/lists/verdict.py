"""Whether one model's lists are worse than another's, from the same candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from plugrank_training.evaluate.lists.item_vectors import model_vectors
from plugrank_training.evaluate.lists.metrics import SHORT, Interval, RankedLists, by_user, interval, score_lists
from plugrank_training.evaluate.lists.replay import Replay
from plugrank_training.evaluate.lists.requests import Request
from plugrank_training.evaluate.trained import Trained

# Metrics that lists are judged by, and requests that are enough for it.
JUDGED = (f"recall@{SHORT}", f"ndcg@{SHORT}")
MOST_REQUESTS = 500


@dataclass(frozen=True)
class ListComparison:
    """A model's lists against another's, of the same users and candidates."""

    # By metric: means of both and the paired difference over users.
    model: dict[str, float]
    other: dict[str, float]
    gain: dict[str, Interval]
    users: int

    @property
    def worse(self) -> bool:
        """Whether a metric is shown to be worse: its interval lies below 0."""
        return any(found.high < 0 for found in self.gain.values())

    def summary(self) -> dict[str, Any]:
        """For manifest and report."""
        return {
            "users": self.users,
            "model": self.model,
            "other": self.other,
            "gain": {name: asdict(found) for name, found in self.gain.items()},
            "worse": self.worse,
        }

    def text(self) -> str:
        """For the person at the terminal."""
        return ", ".join(
            f"{name} {self.model[name]:.4f} against {self.other[name]:.4f} "
            f"({found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}])"
            for name, found in self.gain.items()
        )


def compare_lists(replay: Replay, model: Trained, other: Trained) -> ListComparison:
    """Both rank the candidates that retrieval finds with the first one's item vectors, as a bundle of it is served."""
    requests = replay.requests.requests
    chosen = np.unique(np.linspace(0, len(requests) - 1, min(MOST_REQUESTS, len(requests))).astype(np.int64))
    some = tuple(requests[place] for place in chosen.tolist())
    replay = replace(replay, requests=replace(replay.requests, requests=some))
    network = model.network().to(replay.catalog.present.device)
    candidates = replay.retrieve(model_vectors(network, replay.catalog))
    mine, theirs = (judged_values(replay.network(one, candidates, "export"), some) for one in (model, other))
    return ListComparison(
        model={name: float(mine[name].mean()) for name in JUDGED},
        other={name: float(theirs[name].mean()) for name in JUDGED},
        gain={name: interval((mine[name] - theirs[name])[None]) for name in JUDGED},
        users=len({request.user for request in some}),
    )


def judged_values(lists: RankedLists, requests: Sequence[Request]) -> dict[str, np.ndarray]:
    """Metrics by name, f64 `[users]`."""
    found = score_lists(lists.items, requests).by_name()
    return {name: by_user(found[name], requests) for name in JUDGED}
