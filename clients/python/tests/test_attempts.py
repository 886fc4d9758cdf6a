"""Which answers are waited for, and for how long."""

import json
import time
from collections.abc import Callable

import httpx
import pytest

from plugrank_client import Client, Event, PlugrankError, RefusedError, UnreachableError

RANKING: dict[str, object] = {
    "request_id": "01a22aa6-513a-77f0-84a8-249fac3d83ff",
    "model": None,
    "items": [],
    "budget": {"total_ms": 50, "spent_ms": 1, "stages": []},
    "rung": "full",
    "degraded": [],
    "coverage": dict.fromkeys(
        ["candidates", "unknown", "dropped", "scored", "memory", "store", "encoded", "missing", "history"], 0
    ),
    "a field of a later server": 1,
}
BUSY = {"title": "Busy", "status": 503, "detail": "try again"}

Step = Callable[[httpx.Request], httpx.Response]


def answers(*steps: Step) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A server that answers so, one after another; the last for good."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return steps[min(len(seen), len(steps)) - 1](request)

    return httpx.MockTransport(handle), seen


def reply(status: int, body: object, **headers: str) -> Step:
    return lambda _: httpx.Response(status, json=body, headers=headers)


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_overloaded_and_unavailable_answers_are_retried() -> None:
    transport, seen = answers(lost, reply(503, BUSY), reply(429, BUSY), reply(200, RANKING))
    with Client("http://server", transport=transport) as client:
        client.rank("u1")
    assert len(seen) == 4


def test_invalid_requests_are_not_retried() -> None:
    transport, seen = answers(reply(400, {"title": "Wrong", "status": 400}))
    with Client("http://server", transport=transport) as client, pytest.raises(RefusedError):
        client.rank("u1")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("step", "raised"),
    [(lost, UnreachableError), (reply(503, BUSY), RefusedError), (reply(502, "<html>"), RefusedError)],
)
def test_the_last_error_is_raised(step: Step, raised: type[PlugrankError]) -> None:
    transport, seen = answers(step)
    with Client("http://server", transport=transport) as client, pytest.raises(raised):
        client.rank("u1")
    assert len(seen) == 4


def test_retry_pauses_fit_the_time_left() -> None:
    transport, seen = answers(reply(503, BUSY, **{"retry-after": "30"}))
    begun = time.monotonic()
    with Client("http://server", timeout=1.0, transport=transport) as client, pytest.raises(RefusedError):
        client.rank("u1")
    assert len(seen) == 1
    assert time.monotonic() - begun < 1.0


def test_a_retried_ranking_has_the_remaining_budget() -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        time.sleep(0.1)
        return lost(request)

    transport, seen = answers(slow, reply(200, RANKING))
    with Client("http://server", timeout=0.3, transport=transport) as client:
        client.rank("u1", budget_ms=250)
    first, second = (json.loads(request.content)["budget_ms"] for request in seen)
    assert first == 250
    assert 0 < second <= 200


def test_a_retried_event_keeps_its_id() -> None:
    transport, seen = answers(lost, reply(202, {"results": [{"event_id": "e", "status": "accepted"}]}))
    with Client("http://server", api_key="k", transport=transport) as client:
        client.events([Event(type="click", user_id="u1", item_id="i1")])
    assert seen[0].content == seen[1].content
    assert seen[1].headers["authorization"] == "Bearer k"
