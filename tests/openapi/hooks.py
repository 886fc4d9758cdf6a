"""What schemathesis does not know by itself."""

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    """One value a line; what is made is one line."""
    return json.dumps(value).encode() + b"\n"
