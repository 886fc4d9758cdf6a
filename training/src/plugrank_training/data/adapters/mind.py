"""The layout of MIND (Wu et al., ACL 2020): `news.tsv` and `behaviors.tsv`, UTF-8, tabs, no quoting.

Both may lie in the folder itself or in folders of parts, as they are unpacked (`MINDsmall_train`, `MINDsmall_dev`).
Impressions have a label each (`N12-1`); the test part of MIND large has none and is refused. The clicks before an
impression (`History`) have no times: of each user's first impression they are taken as clicks a second apart that end a
second before it, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from plugrank_training.data.adapters.films import rows_of
from plugrank_training.data.adapters.lines import Line, read_lines
from plugrank_training.data.adapters.recorded import EventLog, Items, Recorded
from plugrank_training.data.ids import shortlex_key

NEWS, BEHAVIORS = "news.tsv", "behaviors.tsv"
FILES = (NEWS, BEHAVIORS)
IN_PARTS = (f"*/{NEWS}", f"*/{BEHAVIORS}")
NEWS_FIELDS = ("news id", "category", "subcategory", "title", "abstract", "url", "title entities", "abstract entities")
BEHAVIOR_FIELDS = ("impression id", "user id", "time", "history", "impressions")
TIME = "%m/%d/%Y %I:%M:%S %p"


def read(folder: Path, progress: bool) -> Recorded:
    """All parts together."""
    items = read_news(folder)
    shown = Impressions(rows_of(items.ids))
    for line in lines_of(folder, BEHAVIORS, BEHAVIOR_FIELDS, progress):
        shown.take(line)
    return shown.recorded(items)


def lines_of(folder: Path, name: str, fields: tuple[str, ...], progress: bool = False) -> Iterator[Line]:
    """Lines of all parts' files of a name."""
    for path in sorted([*folder.glob(name), *folder.glob(f"*/{name}")]):
        yield from read_lines(path, "\t", fields, "utf-8-sig", progress=progress)


def read_news(folder: Path) -> Items:
    """Articles by id; one that several parts have is taken from the first."""
    rows: dict[str, list[str]] = {}
    for line in lines_of(folder, NEWS, NEWS_FIELDS):
        rows.setdefault(line.identity(0, "news id"), [field.strip() for field in line.fields])
    ids = sorted(rows, key=shortlex_key)
    categories = [[name for name in dict.fromkeys(rows[key][1:3]) if name] for key in ids]
    return Items(
        ids=ids,
        titles=[rows[key][3] for key in ids],
        texts=[rows[key][4] for key in ids],
        categories=categories,
        created_ms=[None] * len(ids),
        columns={"subcategory": [rows[key][2] for key in ids]},
    )


class Impressions:
    """Impressions as they are read, and of each user what was clicked before the first of them."""

    def __init__(self, news: dict[str, int]) -> None:
        self.news = news
        self.log = EventLog()
        # By user: time of the first impression, and the clicks before it.
        self.before: dict[int, tuple[int, list[int]]] = {}

    def take(self, line: Line) -> None:
        """One line: a list of articles that a user was shown."""
        user, moment = self.log.user(line.identity(1, "user id")), time_of(line)
        first = self.before.get(user)
        if first is None or moment < first[0]:
            self.before[user] = (moment, [self.article(line, name) for name in line.fields[3].split()])
        for entry in line.fields[4].split():
            name, dash, label = entry.rpartition("-")
            if not dash or label not in ("0", "1"):
                raise line.error(f"impression `{entry}` has no label; leave parts without labels out")
            self.log.add(user, self.article(line, name), moment, int(label))

    def article(self, line: Line, name: str) -> int:
        """Row of an article."""
        if name not in self.news:
            raise line.error(f"news id `{name}` is not in {NEWS}")
        return self.news[name]

    def recorded(self, items: Items) -> Recorded:
        """All of it."""
        for user, (moment, clicks) in self.before.items():
            for place, article in enumerate(clicks):
                self.log.add(user, article, moment - 1000 * (len(clicks) - place), 1)
        user_ids, events = self.log.in_order()
        earlier = sum(len(clicks) for _, clicks in self.before.values())
        note = f"{earlier:,} clicks before users' first impressions have no times: a second apart, in their order"
        return Recorded("mind", items, user_ids, {}, events, notes=(note,) if earlier else ())


def time_of(line: Line) -> int:
    """Milliseconds since the epoch; the time zone is not known and taken as UTC."""
    text = line.fields[2].strip()
    try:
        return int(datetime.strptime(text, TIME).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        raise line.error(f"time `{text}` is not of the form 11/15/2019 8:55:22 AM") from None
