"""What is sent and what comes back. A later server may say more: unknown fields are passed over."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

FeatureValue = str | float | bool | list[str] | list[float]


class Reply(BaseModel):
    """Something the server says."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RankedItem(Reply):
    """An item of a ranking."""

    item_id: str
    rank: int
    score: float | None
    """What the order goes by; none when it is retrieval's."""
    ctr: float | None
    """Calibrated click probability; none when the item could not be scored."""
    sources: list[str]
    propensity: float | None = None
    """With which probability the item has this place, given those before it; none when nothing is drawn."""


class Stage(Reply):
    """Time of a stage."""

    stage: str
    allotted_ms: float
    spent_ms: float
    outcome: str


class Budget(Reply):
    """What a request's time went to."""

    total_ms: float
    spent_ms: float
    stages: list[Stage]


class Degraded(Reply):
    """Where an answer is less than it could be."""

    stage: str
    rung: str
    cause: str
    detail: str


class Coverage(Reply):
    """What was ranked, and how many vectors were available."""

    candidates: int
    unknown: int
    dropped: int
    scored: int
    memory: int
    store: int
    encoded: int
    missing: int
    history: int


class Dropped(Reply):
    """An item left out, and why."""

    item_id: str
    reason: str


class Moved(Reply):
    """How far a rule moved an item; a place that is none is beyond the page."""

    rule: str
    from_: int | None = Field(alias="from")
    to: int | None


class Placed(Reply):
    """What put an item at its place."""

    item_id: str
    placement: str
    value: dict[str, float | None] | None = None
    """What the names of the value formula stood for, where there is one."""
    by_value: int | None = None
    """Its place before any rule."""
    moves: list[Moved] = []
    without_ppm: dict[str, float] | None = None
    """Probability of each task by the host model alone."""


class Explanation(Reply):
    """What was left out, and what put each item at its place."""

    dropped: list[Dropped]
    placements: list[Placed]
    batch_rows: int
    value: str | None = None
    """The formula of the items' values, where there is one."""


class Ranking(Reply):
    """A ranking, and how it came about."""

    request_id: UUID
    """To be sent with the events that it leads to."""
    model: str | None
    surface: str | None = None
    items: list[RankedItem]
    cursor: str | None = None
    """Asks for the next page; none when there is none."""
    budget: Budget
    rung: str
    degraded: list[Degraded]
    coverage: Coverage
    trace_id: str | None = None
    explain: Explanation | None = None


class SimilarItem(Reply):
    """An item similar to another."""

    item_id: str
    rank: int
    similarity: float
    """Cosine of the two items' vectors."""


class Similar(Reply):
    """Items similar to an item, the most similar first."""

    item_id: str
    model: str
    items: list[SimilarItem]


class BatchResult(Reply):
    """The answer to a request of a batch: a ranking, or a problem."""

    status: int
    ranking: Ranking | None = None
    problem: Problem | None = None


class RecentEvent(BaseModel):
    """What a user did lately, told with a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str
    type: str = "click"
    timestamp: int | None = None
    """Milliseconds since 1970; just before the request when left out."""
    value: float | None = None
    """How much: a price, seconds, stars."""


class Event(BaseModel):
    """What a user did. Sending it again, with its id, changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    user_id: str
    item_id: str
    event_id: str = Field(default_factory=lambda: str(uuid4()))
    value: float | None = None
    """How much: a price, seconds, stars."""
    request_id: UUID | None = None
    position: int | None = None
    """Where in the list, from 1."""
    surface: str | None = None
    timestamp: int | None = None
    """Milliseconds since 1970; now when left out."""


class EventResult(Reply):
    """What happened to an event: `accepted`, `repeat` or `refused`, and then why."""

    event_id: str | None
    status: str
    problem: dict[str, Any] | None = None


class Recorded(Reply):
    """What happened to each event, in the order they were sent."""

    results: list[EventResult]

    @property
    def refused(self) -> list[EventResult]:
        """Those that were not recorded."""
        return [result for result in self.results if result.status == "refused"]


class ItemContent(BaseModel):
    """An item's content as a whole: what is left out is empty afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    text: str = ""
    categories: list[str] = []
    created_at: int | None = None
    available: bool = True
    features: dict[str, FeatureValue] = {}
    image: str | None = None
    """JPEG or PNG, in base64."""


class ItemStats(Reply):
    """How an item did."""

    impressions: int
    clicks: int


class Item(Reply):
    """An item of the catalog."""

    item_id: str
    title: str
    text: str
    categories: list[str]
    created_at: int | None
    available: bool
    features: dict[str, Any]
    has_image: bool
    content: str
    stats: ItemStats


class HistoryEntry(Reply):
    """An item that a user saw."""

    item_id: str
    clicked: bool
    timestamp: int
    # What was done and how much of it, where they are known.
    action: str | None = None
    value: float | None = None


class User(Reply):
    """What is known about a user, newest first."""

    user_id: str
    features: dict[str, Any]
    history: list[HistoryEntry]


class FieldError(Reply):
    """A field that is wrong, and what it may be."""

    field: str
    detail: str


class Problem(Reply):
    """A problem document (RFC 9457)."""

    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []
