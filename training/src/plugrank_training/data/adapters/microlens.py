"""The layout of MicroLens (Ni et al., arXiv 2309.15379): `MicroLens-*_pairs.csv` with `user,item,timestamp` (ms),
titles in `MicroLens-*_title_en.csv`, optional categories in `tags_to_summary.csv` and covers
`MicroLens-*_covers/ITEM.jpg`.

Only clicks were recorded (comments on short videos), so training matches negatives.
"""

from __future__ import annotations

from pathlib import Path

from plugrank_training.data.adapters.films import rows_of
from plugrank_training.data.adapters.lines import Line, read_lines
from plugrank_training.data.adapters.recorded import EventLog, Items, Recorded
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.ids import shortlex_key

PAIRS, TITLES, TAGS = "MicroLens-*_pairs.csv", "MicroLens-*_title_en.csv", "tags_to_summary.csv"
COVERS = "MicroLens-*_covers"
FILES, OPTIONAL = (PAIRS, TITLES), (TAGS,)
HEAD = ("user", "item", "timestamp")


def read(folder: Path, progress: bool) -> Recorded:
    """Videos that somebody clicked or that have a title."""
    titles = read_texts(one(folder, TITLES))
    tags = read_texts(folder / TAGS) if (folder / TAGS).is_file() else {}
    numbers, log = read_pairs(one(folder, PAIRS), progress)
    ids = sorted(titles.keys() | numbers.keys(), key=shortlex_key)
    rows = rows_of(ids)
    user_ids, events = log.in_order([rows[item] for item in numbers])
    bare = sum(item not in titles for item in ids)
    items = Items(
        ids=ids,
        titles=[titles.get(item, "") for item in ids],
        texts=[""] * len(ids),
        categories=[[tags[item]] if tags.get(item) else [] for item in ids],
        created_ms=[None] * len(ids),
    )
    notes = (f"{bare:,} item(s) without a title",) if bare else ()
    return Recorded("microlens", items, user_ids, {}, events, negatives="matched", notes=notes)


def one(folder: Path, pattern: str) -> Path:
    """The one file of a pattern."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"{folder}: {len(found)} files {pattern} ({names}); put each size into its own folder")
    return found[0]


def read_pairs(path: Path, progress: bool) -> tuple[dict[str, int], EventLog]:
    """Numbers of items, in the order in which they are met, and the clicks."""
    numbers: dict[str, int] = {}
    log = EventLog()
    for line in read_lines(path, ",", HEAD, "utf-8-sig", progress=progress):
        if line.number == 1:
            if tuple(field.strip() for field in line.fields) != HEAD:
                raise line.error(f"the first line must be {','.join(HEAD)}")
            continue
        item = numbers.setdefault(line.identity(1, "item"), len(numbers))
        log.add(log.user(line.identity(0, "user")), item, line.whole(2, "timestamp"), 1)
    return numbers, log


def read_texts(path: Path) -> dict[str, str]:
    """Text of each item. A title may hold commas: what follows the first one is the text; a first line whose item is no
    number names the columns."""
    made: dict[str, str] = {}
    for line in read_lines(path, ",", ("item", "text"), "utf-8-sig", more=True):
        item = line.identity(0, "item")
        if line.number == 1 and not item.isdigit():
            continue
        if item in made:
            raise line.error(f"item `{item}` stands twice")
        made[item] = unquoted(line)
    return made


def unquoted(line: Line) -> str:
    """What follows the first comma, without quotation marks around it."""
    text = ",".join(line.fields[1:]).strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"').strip() if quoted else text
