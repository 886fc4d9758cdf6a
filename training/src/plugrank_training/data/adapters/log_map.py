"""`log.toml`: how the columns of somebody's log become a dataset folder (docs/convert.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from plugrank_training.data.adapters.log_layouts import LAYOUTS
from plugrank_training.data.dataset_error import DatasetError

T = TypeVar("T")
# One column, or several that are joined.
Columns = tuple[str, ...]


@dataclass(frozen=True)
class Files:
    """Where rows come from."""

    # File names or patterns, relative to the map.
    files: Columns = ()
    # `csv`, `tsv`, `parquet` or `jsonl`; empty: by the files' ending.
    format: str = ""
    separator: str = ""
    # Column names of files without a header line.
    names: Columns = ()


@dataclass(frozen=True)
class Label:
    """Which rows are positive."""

    column: str = ""
    # Values (as text) that count as positive; without them the column holds 0 and 1, or true and false.
    positive: Columns = ()
    # Rows with these values are left out.
    ignored: Columns = ()
    # Numbers from here on are positive.
    at_least: float | None = None


@dataclass(frozen=True)
class Time:
    """When a row happened."""

    column: str = ""
    # Of numbers: `s`, `ms`, `us` or `ns`.
    unit: str = "ms"
    # Of text, as strptime takes it; empty: ISO 8601.
    format: str = ""
    # Of text without one.
    timezone: str = "UTC"


@dataclass(frozen=True)
class Entities:
    """Items or users: from files of their own, or from the log's columns (the newest row of each counts)."""

    files: Columns = ()
    format: str = ""
    separator: str = ""
    names: Columns = ()
    # Columns that make the id, where these files name it otherwise than the log.
    id: Columns = ()
    title: Columns = ()
    text: Columns = ()
    categories: Columns = ()
    # Cuts a text of categories; empty: it is one category.
    categories_separator: str = ""
    image: str = ""
    created_at: Time = field(default_factory=Time)
    available: str = ""
    # Columns that become categories, numbers as text; lists become lists.
    features: Columns = ()
    # Columns that stay numbers.
    numbers: Columns = ()
    # Edges that cut a column of numbers into categories.
    buckets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    # New names of features.
    rename: Mapping[str, str] = field(default_factory=dict)

    def source(self) -> Files:
        """Where they come from."""
        return Files(self.files, self.format, self.separator, self.names)

    def columns(self) -> set[str]:
        """Columns that are read."""
        single = {self.image, self.created_at.column, self.available} - {""}
        lists = (self.id, self.title, self.text, self.categories, self.features, self.numbers)
        return single.union(self.buckets, *lists)


@dataclass(frozen=True)
class Sample:
    """Negatives that are drawn where only positives were kept."""

    per_positive: int = 0
    # `popular` draws items as often as they were clicked, `even` all alike.
    by: str = "popular"
    seed: int = 0


@dataclass(frozen=True)
class LogMap:
    """All of it."""

    name: str
    log: Files
    user_id: Columns
    item_id: Columns
    label: Label
    # `column` empty: the order of the rows, and intervals are unknown.
    timestamp: Time = field(default_factory=Time)
    # Further columns of the log that are written as they are; columns of csv are text.
    keep: Columns = ()
    # The same as numbers; what is none is absent.
    numbers: Columns = ()
    # What a user did and how much of it, for the histories that models read.
    action: str = ""
    value: str = ""
    # Labels of further tasks, by name.
    tasks: Mapping[str, Label] = field(default_factory=dict)
    items: Entities = field(default_factory=Entities)
    users: Entities = field(default_factory=Entities)
    sample: Sample = field(default_factory=Sample)

    @property
    def clicks_only(self) -> bool:
        """Whether every row is a click and training draws the others."""
        return not self.label.column and not self.sample.per_positive

    def columns(self) -> set[str]:
        """Columns of the log that are read, those of items and users that have no files included."""
        labels = {label.column for label in (self.label, *self.tasks.values())}
        single = {self.timestamp.column, self.action, self.value, *labels} - {""}
        parts = [part.columns() for part in (self.items, self.users) if not part.files]
        return single.union(self.user_id, self.item_id, self.keep, self.numbers, *parts)


def read_map(path: Path) -> LogMap:
    """From a file. Raises `DatasetError` that names the key."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError.at(path, f"cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise DatasetError.at(path, f"not valid TOML: {error}") from error
    layout = values.pop("layout", None)
    if layout is not None:
        if layout not in LAYOUTS:
            raise DatasetError.at(path, f"`layout` must be one of {', '.join(LAYOUTS)}, not {layout!r}")
        values = merged(LAYOUTS[layout], values)
    try:
        found = from_table(LogMap, values, "")
        check(found)
    except ValueError as error:
        raise DatasetError.at(path, str(error)) from error
    return found


def check(made: LogMap) -> None:
    """Refuse what cannot work. Raises `ValueError` that names the key."""
    if not made.log.files:
        raise ValueError("`log.files` names no file")
    for key in ("user_id", "item_id"):
        if not getattr(made, key):
            raise ValueError(f"`{key}` names no column")
    units = ("s", "ms", "us", "ns")
    for key, time in (("timestamp", made.timestamp), ("items.created_at", made.items.created_at)):
        if time.unit not in units:
            raise ValueError(f"`{key}.unit` must be one of {', '.join(units)}, not `{time.unit}`")
    for name, task in made.tasks.items():
        if not task.column or not name.isidentifier() or name == "click":
            raise ValueError(f"`tasks.{name}`: a task has a name of letters, other than `click`, and a `column`")
    if made.sample.by not in ("popular", "even"):
        raise ValueError(f"`sample.by` must be `popular` or `even`, not `{made.sample.by}`")
    if made.sample.per_positive and made.label.column and not made.label.positive:
        raise ValueError(
            "`sample` draws negatives where only positives were kept; leave `label` out, or name `positive`"
        )


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables, the second one's values over the first's."""
    made = dict(below)
    for key, value in above.items():
        old = made.get(key)
        made[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return made


def from_table(kind: type[T], values: Mapping[str, Any], prefix: str) -> T:
    """A dataclass of a TOML table. Raises `ValueError` that names the key."""
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"unknown key `{prefix}{unknown[0]}`; known here: {', '.join(sorted(hints))}")
    for part in fields(kind):  # type: ignore[arg-type]
        if part.name not in values and part.name in ("name", "log", "user_id", "item_id") and kind is LogMap:
            raise ValueError(f"`{part.name}` is missing")
    made = {name: value_of(hints[name], value, f"{prefix}{name}") for name, value in values.items()}
    if kind is LogMap:
        made.setdefault("label", Label())
    return kind(**made)


def value_of(wanted: Any, value: Any, key: str) -> Any:
    """One value as the type its field has. Raises `ValueError` that names the key."""
    if wanted in (Files, Label, Time, Entities, Sample):
        if wanted in (Time, Label) and isinstance(value, str):
            return wanted(column=value)
        if not isinstance(value, dict):
            raise ValueError(f"`{key}` must be a table, [{key}]")
        return from_table(wanted, value, f"{key}.")
    if wanted == Columns:
        found = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, str | int | bool) for entry in found):
            raise ValueError(f"`{key}` must be a name or a list of names")
        return tuple(str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in found)
    if wanted == Mapping[str, tuple[float, ...]]:
        if not isinstance(value, dict) or not all(isinstance(edges, list) and edges for edges in value.values()):
            raise ValueError(f"`{key}` must name edges for each column, such as {{ price = [10, 100] }}")
        return {name: tuple(sorted(map(float, edges))) for name, edges in value.items()}
    if wanted == Mapping[str, Label]:
        if not isinstance(value, dict):
            raise ValueError(f'`{key}` must be a table of labels, such as {{ purchase = {{ column = "event" }} }}')
        return {name: value_of(Label, entry, f"{key}.{name}") for name, entry in value.items()}
    if wanted == Mapping[str, str]:
        if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
            raise ValueError(f"`{key}` must be a table of names")
        return dict(value)
    if wanted == float | None:
        wanted = float
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted in (int, str) and type(value) is wanted:
        return value
    raise ValueError(f"`{key}` must be of type {wanted.__name__}, not {type(value).__name__}")
