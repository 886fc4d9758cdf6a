"""Client of Plugrank's REST API."""

from plugrank_client.client import Client
from plugrank_client.errors import PlugrankError, RefusedError, UnreachableError
from plugrank_client.models import (
    BatchResult,
    Budget,
    Coverage,
    Degraded,
    Event,
    EventResult,
    Explanation,
    FieldError,
    Item,
    ItemContent,
    RankedItem,
    Ranking,
    RecentEvent,
    Recorded,
    Similar,
    SimilarItem,
    User,
)

__all__ = [
    "BatchResult",
    "Budget",
    "Client",
    "Coverage",
    "Degraded",
    "Event",
    "EventResult",
    "Explanation",
    "FieldError",
    "Item",
    "ItemContent",
    "PlugrankError",
    "RankedItem",
    "Ranking",
    "RecentEvent",
    "Recorded",
    "RefusedError",
    "Similar",
    "SimilarItem",
    "UnreachableError",
    "User",
]
