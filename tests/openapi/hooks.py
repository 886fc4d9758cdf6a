"""What schemathesis does not know by itself.

Requests that should be right are drawn from the OpenAPI document. Some of what makes them right no schema
can say: which items, columns and names there are, that one field goes with another, that a text is a
picture. `REPAIRS` gives such fields a right value, in requests that should be right alone; all other
fields stay as they were drawn, and requests that should be wrong are sent as they are. So every check
holds for every operation.
"""

import base64
import json
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

# Columns of the shop that is served.
TEXT_COLUMN, NUMBER_COLUMN = "categories", "created_at"
# `budget.ceiling_ms` of the server that is asked; less than this is too little on a busy machine.
ENOUGH_MS = 20_000
# Longest text of an id, a name or a feature, in bytes; a schema counts characters.
ID_BYTES = 256
Body = dict[str, Any]


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    """One value a line; what is made is one line."""
    return json.dumps(value).encode() + b"\n"


def picture() -> str:
    """A PNG of one black pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)
    return base64.b64encode(png).decode()


def objects(body: Body, name: str) -> list[Body]:
    """The objects in a list of the body."""
    entries = body.get(name)
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def condition(drawn: Body) -> Body:
    """A condition of the same kind on a column that there is."""
    for kind in ("any", "all"):
        values = drawn.get(kind)
        if isinstance(values, list):
            texts = [value for value in values if isinstance(value, str)][:8]
            return {"field": TEXT_COLUMN, kind: texts or ["c1"]}
    numbers = {key: drawn[key] for key in ("gt", "gte", "lt", "lte") if drawn.get(key) is not None}
    one_of_each = {key[0]: (key, value) for key, value in numbers.items()}
    return {"field": NUMBER_COLUMN, **dict(one_of_each.values() or [("gte", 0)])}


def right_filter(drawn: Any) -> Body:
    """A filter of as many conditions, on columns that there are."""
    if not isinstance(drawn, dict):
        return {}
    return {
        group: [condition(one) for one in objects(drawn, group)][:16]
        for group in ("must", "must_not", "should")
        if group in drawn
    }


def rank(body: Body) -> None:
    """Surfaces, arms and types are those of the settings, models those that are loaded, a cursor is one of
    an answer."""
    for name in ("surface", "cursor", "model", "arms"):
        body.pop(name, None)
    if isinstance(body.get("budget_ms"), int):
        body["budget_ms"] = ENOUGH_MS
    if body.get("filter") is not None:
        body["filter"] = right_filter(body["filter"])
    user = body.get("user")
    for event in objects(user, "recent") if isinstance(user, dict) else []:
        event.pop("type", None)


def events(body: Body) -> None:
    """Event types are those of the settings, and times are near the server's clock."""
    now = int(time.time() * 1000)
    for event in objects(body, "events"):
        event["type"] = "click"
        if isinstance(event.get("timestamp"), int):
            event["timestamp"] = min(event["timestamp"], now)


def item(body: Body) -> None:
    """A picture is one."""
    if isinstance(body.get("image"), str):
        body["image"] = picture()


def similar(query: Body) -> None:
    """The filter is JSON within a text."""
    if query.get("filter") is not None:
        query["filter"] = json.dumps({"must": [{"field": TEXT_COLUMN, "any": [query["filter"]]}]})


def export(query: Body) -> None:
    """What ends does not end before it begins."""
    if query.get("from") is not None and query.get("to") is not None:
        query["from"], query["to"] = sorted((query["from"], query["to"]), key=int)


def experiment(body: Body, name: str) -> None:
    """Its parts go together (docs/experiments.md), and its slots are nobody else's."""
    body["layer"] = name
    for part in ("name", "salt", "slots", "target", "ramp", "plan", "guardrails", "history"):
        body.pop(part, None)
    arms = objects(body, "arms")
    for number, arm in enumerate(arms):
        arm.update(name=f"{number}", weight=arm.get("weight") or 1, stopped=False)
        for part in ("permille", "settings", "forced"):
            arm.pop(part, None)
    body["control"] = "0"


def plain(value: Any) -> Any:
    """The same as others write it: texts of no more bytes than an id may have, whole numbers without a
    fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str):
        return value.encode()[:ID_BYTES].decode(errors="ignore") if len(value) > 64 else value
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(name): plain(one) for name, one in value.items()}
    return value


def model(body: Body) -> None:
    """A bundle is in the folder of models."""
    body["name"] = "bundle-idrec"


BODIES: dict[str, Callable[[Body], None]] = {
    "rank": rank,
    "appendEvents": events,
    "putItem": item,
    "loadModel": model,
}
QUERIES: dict[str, Callable[[Body], None]] = {"similarItems": similar, "export": export}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Gives a request that should be right what its schema cannot say."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    operation = case.operation.definition.raw.get("operationId")
    if case.path_parameters:
        case.path_parameters = plain(case.path_parameters)
    if isinstance(case.body, dict):
        case.body = plain(case.body)
        if operation in BODIES:
            BODIES[operation](case.body)
        elif operation == "putExperiment":
            experiment(case.body, case.path_parameters["name"])
    if operation in QUERIES and case.query:
        QUERIES[operation](case.query)
