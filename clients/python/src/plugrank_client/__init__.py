"""Client of Plugrank's REST API."""

from plugrank_client.client import Client
from plugrank_client.errors import PlugrankError, RefusedError, UnreachableError
from plugrank_client.models import (
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
    Recorded,
    User,
)

__all__ = [
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
    "Recorded",
    "RefusedError",
    "UnreachableError",
    "User",
]
