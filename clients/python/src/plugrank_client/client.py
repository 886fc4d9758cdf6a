"""The client."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx
from pydantic import BaseModel, ValidationError

from plugrank_client.attempts import Attempt, attempts
from plugrank_client.errors import RefusedError, UnreachableError
from plugrank_client.models import (
    BatchResult,
    Event,
    Item,
    ItemContent,
    Problem,
    Ranking,
    RecentEvent,
    Recorded,
    Similar,
    User,
)

NOT_FOUND = 404
# The server could not take the call, and says so before it has done anything.
BUSY = frozenset({429, 502, 503, 504})


class Client:
    """Calls a Plugrank server. One client may be used by several threads."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 2.0,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Of the server at `url`. `timeout` bounds each call with its retries, in seconds."""
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = timeout
        self._http = httpx.Client(base_url=url, headers=headers, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def rank(
        self,
        user_id: str,
        *,
        k: int | None = None,
        candidates: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        where: dict[str, Any] | None = None,
        surface: str | None = None,
        cursor: str | None = None,
        goes_with: Sequence[str] = (),
        recent: Sequence[RecentEvent] | None = None,
        diversity: float | None = None,
        timestamp: int | None = None,
        budget_ms: int | None = None,
        explain: bool = False,
    ) -> Ranking:
        """Ranks items for a user: those of `candidates`, or what the server retrieves.

        `where` is a filter that items meet. `goes_with` names items that the list should go with, such as those in a
        cart. `recent` is what the user did, the latest first, in place of what the server has of it. `cursor` is that
        of the page before.
        """
        context = {"timestamp": timestamp, "items": list(goes_with) or None}
        context = {name: value for name, value in context.items() if value is not None}
        question = {
            "user_id": user_id,
            "k": k,
            "surface": surface,
            "cursor": cursor,
            "candidates": None if candidates is None else list(candidates),
            "exclude": None if exclude is None else list(exclude),
            "filter": where,
            "context": context or None,
            "user": None if recent is None else {"recent": [sent(event) for event in recent]},
            "diversity": diversity,
            "budget_ms": budget_ms,
            "explain": explain or None,
        }
        question = {name: value for name, value in question.items() if value is not None}

        def body(attempt: Attempt) -> dict[str, Any]:
            if budget_ms is None:
                return question
            return question | {"budget_ms": max(1, min(budget_ms, int(attempt.left * 1000)))}

        return Ranking.model_validate(self._answer("POST", "/v1/rank", body).json())

    def rank_batch(self, requests: Sequence[dict[str, Any]]) -> list[BatchResult]:
        """Ranks for up to 100 requests, each as `POST /v1/rank` takes it; the answers in their order."""
        body = {"requests": list(requests)}
        answer = self._answer("POST", "/v1/rank/batch", lambda _: body).json()
        return [BatchResult.model_validate(result) for result in answer["results"]]

    def similar(self, item_id: str, *, k: int | None = None, where: dict[str, Any] | None = None) -> Similar | None:
        """Available items similar to an item, the most similar first; none when there is no such item."""
        question: dict[str, Any] = {"k": k, "filter": None if where is None else json.dumps(where)}
        query = urlencode({name: value for name, value in question.items() if value is not None})
        answer = self._found(f"{item_path(item_id)}/similar" + (f"?{query}" if query else ""))
        return None if answer is None else Similar.model_validate(answer.json())

    def events(self, events: Sequence[Event]) -> Recorded:
        """Records what users did; returns once that is durable. Look at `refused` of the answer."""
        body = {"events": [sent(event) for event in events]}
        return Recorded.model_validate(self._answer("POST", "/v1/events", lambda _: body).json())

    def item(self, item_id: str) -> Item | None:
        """An item of the catalog."""
        answer = self._found(item_path(item_id))
        return None if answer is None else Item.model_validate(answer.json())

    def put_item(self, item_id: str, content: ItemContent) -> None:
        """Adds an item, or puts its content in place of what it had."""
        self._answer("PUT", item_path(item_id), lambda _: sent(content))

    def delete_item(self, item_id: str) -> None:
        """Takes an item out of the catalog, if it is there."""
        self._answer("DELETE", item_path(item_id))

    def user(self, user_id: str) -> User | None:
        """What is known about a user."""
        answer = self._found(f"/v1/users/{quote(user_id, safe='')}")
        return None if answer is None else User.model_validate(answer.json())

    def _found(self, path: str) -> httpx.Response | None:
        try:
            return self._answer("GET", path)
        except RefusedError as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def _answer(
        self, method: str, path: str, body: Callable[[Attempt], dict[str, Any]] | None = None
    ) -> httpx.Response:
        """The first answer that counts, of as many attempts as there is time for."""
        last: RefusedError | UnreachableError | None = None
        for attempt in attempts(self._timeout):
            try:
                content = None if body is None else body(attempt)
                answer = self._http.request(method, path, json=content, timeout=attempt.left)
            except httpx.TransportError as error:
                last = UnreachableError(f"{self._http.base_url}: {error or type(error).__name__}")
                continue
            if answer.is_success:
                return answer
            last = RefusedError(problem(answer))
            if answer.status_code not in BUSY:
                raise last
            attempt.wait(answer.headers.get("retry-after"))
        raise last or UnreachableError(f"{self._http.base_url}: no time for an attempt")


def item_path(item_id: str) -> str:
    """Path of an item."""
    return f"/v1/items/{quote(item_id, safe='')}"


def sent(model: BaseModel) -> dict[str, Any]:
    """A model as JSON, without what was left out."""
    return model.model_dump(mode="json", exclude_none=True)


def problem(answer: httpx.Response) -> Problem:
    """The answer's problem document; of a proxy's page, what it says."""
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:
        return Problem(title=answer.reason_phrase, status=answer.status_code, detail=answer.text[:300])
