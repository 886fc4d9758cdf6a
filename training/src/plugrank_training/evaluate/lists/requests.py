"""Which lists are asked for: users of a later part, at a moment of it, and what they clicked from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plugrank_training.data.dataset import UNDATED, Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.evaluate.lists.log_snapshot import LogSnapshot

MOMENTS = ("cut", "rolling")
# Moments of one user at most, evenly spread over those at which they click, where moments roll.
ROLLING = 8


@dataclass(frozen=True)
class Request:
    """One list that is asked for."""

    user: int
    # Only behaviour strictly before it counts.
    moment: int
    # Distinct items clicked before, latest first. int64 [n]
    clicks: np.ndarray
    # Distinct items clicked at or after the moment and not before it. int64 [n], at least one
    hits: np.ndarray


@dataclass(frozen=True)
class Requests:
    """All requests of a part, and what of the part they leave out."""

    part: str
    requests: tuple[Request, ...]
    # Counts by reason.
    left_out: dict[str, int]


def first_moments(dataset: Dataset, part: Examples) -> np.ndarray:
    """When a part begins for each user, int64 `[users]`: one moment for all where times are real, else each one's own
    first; the greatest int64 for a user whom the part does not have."""
    never = np.iinfo(np.int64).max
    first = np.full(len(dataset.user_ids), never)
    np.minimum.at(first, part.user, part.timestamp)
    if dataset.meta.time == "ms":
        first[first < never] = part.timestamp.min()
    return first


def snapshot_before(dataset: Dataset, part: Examples, exclude_items: np.ndarray | None) -> tuple[LogSnapshot, int]:
    """What a loader has read when a part begins, and that moment. Interactions with excluded items are left out.

    Where a timestamp is a place in a user's sequence, each user's own first moment counts, and users without one have
    all they did read.
    """
    first = first_moments(dataset, part)
    if dataset.meta.time == "ms":
        first[:] = part.timestamp.min()
    before = dataset.timestamp < first[dataset.user]
    if exclude_items is not None:
        before &= ~np.isin(dataset.item, exclude_items)
    created = dataset.created_at
    if created is None:
        created = np.full(len(dataset.item_ids), UNDATED)
    rows = np.flatnonzero(before)
    log = LogSnapshot(
        created_at=created,
        dated=created != UNDATED,
        categories=dataset.categories,
        rank=dataset.item_rank,
        user=dataset.user[rows],
        item=dataset.item[rows],
        timestamp=dataset.timestamp[rows],
        label=dataset.label[rows],
        timed=dataset.meta.time == "ms",
    )
    as_of = int(part.timestamp.min()) if dataset.meta.time == "ms" else np.iinfo(np.int64).max
    return log, as_of


def make_requests(
    dataset: Dataset, part: Examples, name: str, moments: str, exclude_items: np.ndarray | None
) -> Requests:
    """Requests of every user who clicks in a part.

    `moments`: `cut`, one list when the part begins; `rolling`, at most `ROLLING` lists of a user, at moments of their
    own clicks, each with the history up to it. A user without a click that is new to them is left out and counted.
    """
    if moments not in MOMENTS:
        raise ValueError(f"moments `{moments}`: one of {', '.join(MOMENTS)}")
    hidden = np.zeros(len(dataset.item_ids), dtype=bool)
    if exclude_items is not None:
        hidden[exclude_items] = True
    clicked = np.flatnonzero((dataset.label == 1) & ~hidden[dataset.item])
    order = clicked[np.argsort(dataset.user[clicked], kind="stable")]
    start = np.searchsorted(dataset.user[order], np.arange(len(dataset.user_ids) + 1))
    first = first_moments(dataset, part)
    later = part.label == 1
    left_out = {"users without a later click": 0, "users whose later clicks are no new ones": 0}
    left_out["later clicks on items clicked before"] = 0
    found: list[Request] = []
    by_user = part.user[later].argsort(kind="stable")
    part_user, part_item = part.user[later][by_user], part.item[later][by_user]
    part_time = part.timestamp[later][by_user]
    edges = np.searchsorted(part_user, np.arange(len(dataset.user_ids) + 1))
    for user in np.unique(part.user).tolist():
        rows = slice(edges[user], edges[user + 1])
        items, times = part_item[rows], part_time[rows]
        if not len(items):
            left_out["users without a later click"] += 1
            continue
        own = order[start[user] : start[user + 1]]
        made = 0
        for moment in moments_of(moments, int(first[user]), times):
            past = own[dataset.timestamp[own] < moment]
            clicks = distinct(dataset.item[past][::-1])
            wanted = distinct(items[times >= moment])
            fresh = wanted[~np.isin(wanted, clicks)]
            left_out["later clicks on items clicked before"] += len(wanted) - len(fresh)
            if len(fresh):
                made += 1
                found.append(Request(user, moment, clicks, fresh))
        if not made:
            left_out["users whose later clicks are no new ones"] += 1
    return Requests(name, tuple(found), left_out)


def of_some_users(requests: Requests, most: int | None) -> Requests:
    """Requests of at most so many users, evenly spread over the data set's; the others are counted."""
    users = sorted({request.user for request in requests.requests})
    if most is None or len(users) <= most:
        return requests
    chosen = {users[place] for place in np.linspace(0, len(users) - 1, most).round().astype(np.int64).tolist()}
    kept = tuple(request for request in requests.requests if request.user in chosen)
    left_out = requests.left_out | {f"users beyond the {most:,} that were asked for": len(users) - len(chosen)}
    return Requests(requests.part, kept, left_out)


def moments_of(moments: str, first: int, times: np.ndarray) -> Sequence[int]:
    """Moments of one user, whose clicks are at `times`."""
    if moments == "cut":
        return (first,)
    own = np.unique(times)
    chosen = np.unique(np.linspace(0, len(own) - 1, min(ROLLING, len(own))).round().astype(np.int64))
    return own[chosen].tolist()


def distinct(items: np.ndarray) -> np.ndarray:
    """Items once each, in the order of their first place, int64."""
    _, first = np.unique(items, return_index=True)
    return items[np.sort(first)].astype(np.int64)
