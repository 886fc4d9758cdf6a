"""Lists of a running server, through its REST API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np

from plugrank_training.data.loaded import Loaded
from plugrank_training.data.splits import default_split, make_split
from plugrank_training.evaluate.lists.context import Context
from plugrank_training.evaluate.lists.experiment import describe_requests
from plugrank_training.evaluate.lists.metrics import LONG, RankedLists
from plugrank_training.evaluate.lists.replayed_run import ListOptions
from plugrank_training.evaluate.lists.requests import Request, make_requests, of_some_users, snapshot_before
from plugrank_training.evaluate.lists.retrieval import SOURCES, Retrieval
from plugrank_training.evaluate.lists.rows import ListRow, plain_lists, ranked
from plugrank_training.evaluate.lists.summary import difference, summary
from plugrank_training.options import Options
from plugrank_training.progress_bar import progress_bar

TIMEOUT_SECONDS = 30
BUDGET_MS = 2000


def served_lists(options: Options, lists: ListOptions, url: str) -> dict[str, Any]:
    """Ask a server for every request's list and measure it; gives the report.

    Raises `ValueError` where the address is none, the server refuses, or an answer is degraded.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"--url {url}: expected an address such as http://127.0.0.1:8080")
    data = Loaded.read(options.dataset, options.out / "stages").dataset
    split = make_split(data, options.split or default_split(data), options.salt, options.fold)
    part = getattr(split, lists.part)
    every = make_requests(data, part, lists.part, lists.moments, split.exclude_items)
    requests = of_some_users(every, lists.users)
    log, as_of = snapshot_before(data, part, split.exclude_items)
    retrieval = Retrieval(log, lists.retrieval, as_of)
    context = Context(requests, part, retrieval.available, retrieval.impressions == 0)
    row_of = {identity: row for row, identity in enumerate(data.item_ids)}
    rows = [
        served_row(ask(url, data.user_ids[request.user], request), row_of)
        for request in progress_bar(requests.requests, desc="lists", unit="request")
    ]
    plain = plain_lists(
        retrieval, requests.requests, [retrieval.retrieve(r.clicks, None) for r in requests.requests], whole=True
    )
    found: dict[str, RankedLists] = plain | {"served": ranked(rows)}
    return describe_requests(lists, context) | {
        "seeds": [],
        "models": list(found),
        "url": True,
        "rows": {name: {"own": summary([one], context)} for name, one in found.items()},
        "served_over": {name: {"own": difference([found["served"]], [one], context)} for name, one in plain.items()},
    }


def served_row(items: list[dict[str, Any]], row_of: dict[str, int]) -> ListRow:
    """An answer's items. Raises `ValueError` for one that the data set does not have."""
    for item in items:
        if item["item_id"] not in row_of:
            raise ValueError(f"the server knows item `{item['item_id']}`, which the data set does not have")
    named = np.array([[source.value in item["sources"] for source in SOURCES] for item in items], dtype=bool)
    return ListRow(
        np.array([row_of[item["item_id"]] for item in items], dtype=np.int64),
        named.reshape(-1, len(SOURCES)),
        np.array([np.nan if item["ctr"] is None else item["ctr"] for item in items], dtype=np.float64),
    )


def ask(url: str, user: str, request: Request) -> list[dict[str, Any]]:
    """The server's list for a user as of the request's moment."""
    body = {"user_id": user, "k": LONG, "context": {"timestamp": request.moment}, "budget_ms": BUDGET_MS}
    headers = {"content-type": "application/json"}
    call = urllib.request.Request(f"{url}/v1/rank", json.dumps(body).encode(), headers)  # noqa: S310 - http, checked
    try:
        with urllib.request.urlopen(call, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - http, checked
            reply = json.load(answer)
    except urllib.error.HTTPError as error:
        raise ValueError(f"the server answered {error.code}: {error.read().decode(errors='replace')}") from error
    return served_answer(reply, user)


def served_answer(reply: dict[str, Any], user: str) -> list[dict[str, Any]]:
    """The items of an answer. Raises `ValueError` for one that is degraded: it says nothing of the model."""
    if reply["degraded"]:
        raise ValueError(f"user {user}: the answer is degraded: {json.dumps(reply['degraded'])}")
    items: list[dict[str, Any]] = reply["items"]
    return items
