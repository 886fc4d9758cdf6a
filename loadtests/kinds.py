#!/usr/bin/env python3
"""How much of a list is of one kind, and what more kinds cost in predicted clicks.

    python3 loadtests/kinds.py http://127.0.0.1:8080 --column categories --users 300 --surface plain --surface varied

Asks for the list of each user at each surface of the settings and prints, of the first K places, the share of the
commonest value of the column (of a list its first element), how many values there are, and the sum of the click
probabilities beside that of the first surface. The first row is the newest clicks of the same users.
"""

from __future__ import annotations

import argparse
import json
import statistics
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable
from functools import cache


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--surface", action="append", required=True, metavar="NAME", help="one row each")
    parser.add_argument("--column", default="categories", help="`categories` or a feature of the items")
    parser.add_argument("--users", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=1, help="number of the first")
    parser.add_argument("--prefix", default="u")
    parser.add_argument("-k", type=int, default=10)
    args = parser.parse_args()
    url = args.url.rstrip("/")

    @cache
    def kind(item: str) -> str | None:
        content = call(f"{url}/v1/items/{urllib.parse.quote(item, safe='')}")
        value = content.get("categories") if args.column == "categories" else content["features"].get(args.column)
        value = value[0] if isinstance(value, list) and value else value
        return None if value in (None, []) else str(value)

    users = [f"{args.prefix}{number}" for number in range(args.first, args.first + args.users)]
    past = [call(f"{url}/v1/users/{user}?clicks={args.k}&impressions=0").get("history", []) for user in users]
    print(f"{'':24}  commonest  kinds  predicted clicks")
    print(row("newest clicks", [counted(kind(entry["item_id"]) for entry in clicks) for clicks in past if clicks]))
    first, degraded = None, 0
    for surface in args.surface:
        lists, clicks = [], 0.0
        for user in users:
            body = {"user_id": user, "k": args.k, "surface": surface, "budget_ms": 2000}
            reply = call(f"{url}/v1/rank", body)
            degraded += bool(reply["degraded"])
            items = reply["items"]
            lists.append(counted(kind(item["item_id"]) for item in items))
            clicks += sum(item["ctr"] or 0.0 for item in items)
        first = first or clicks
        print(f"{row(surface, lists)}  {clicks / first:16.3f}")
    if degraded:
        raise SystemExit(f"{degraded} lists were degraded: a quicker machine tells more")


def counted(kinds: Iterable[str | None]) -> tuple[float, int]:
    """Share of the commonest of those that have one, and how many there are."""
    counts = Counter(kind for kind in kinds if kind is not None)
    return max(counts.values(), default=0) / max(counts.total(), 1), len(counts)


def row(name: str, lists: list[tuple[float, int]]) -> str:
    """A line of the table."""
    shares, numbers = zip(*lists, strict=True)
    return f"{name:24}  {statistics.mean(shares):9.1%}  {statistics.mean(numbers):5.1f}"


def call(url: str, body: object = None) -> dict:
    """What the server answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
