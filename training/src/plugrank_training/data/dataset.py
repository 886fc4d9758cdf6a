"""The dataset folder (docs/dataset-format.md): items and users in memory, interactions there or mapped from files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.ids import shortlex_key, shortlex_rank
from plugrank_training.data.interaction_file import COLUMNS as LOG_COLUMNS
from plugrank_training.data.interaction_file import PAST, PIECE, TASK, distinct_ids, is_known, pieces, task_columns
from plugrank_training.data.mapped import Arrays, mapped_arrays
from plugrank_training.data.parquet_parts import count_rows
from plugrank_training.data.parquet_table import ParquetTable
from plugrank_training.data.problems import Problems
from plugrank_training.data.raw_column import RawColumn
from plugrank_training.data.raw_reader import WORDS, ColumnPlan, array_names, columns_of, plan_log, shapes_of

ITEMS, USERS, INTERACTIONS = "items.parquet", "users.parquet", "interactions.parquet"
TRUTH, META = "truth.parquet", "dataset.json"
# Columns of items and users that are not features.
ITEM_COLUMNS = ("item_id", "title", "text", "categories", "image", "created_at", "available")
USER_COLUMNS = ("user_id",)
# Columns by the names of their arrays.
COLUMNS = {"user": "user_id", "item": "item_id", "timestamp": "timestamp"}
TIMES, NEGATIVES = ("ms", "order"), ("logged", "matched")
UNSORTED = "comes before the row above it; sort by (timestamp, user_id, item_id), ids shorter first, then by bytes"
# Of an item without a time of creation.
UNDATED = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Meta:
    """Content of `dataset.json`."""

    name: str
    # `ms`, or `order` when a timestamp is only a position in a user's sequence.
    time: str
    # `logged`, or `matched` when only clicks were recorded.
    negatives: str

    @classmethod
    def read(cls, path: Path) -> Meta:
        """From the file. Raises `DatasetError` where a key is absent or has another value than it may."""
        try:
            text = path.read_text(encoding="utf-8")
            if text.startswith("\ufeff"):
                raise DatasetError.at(path, "begins with a byte order mark; save it as UTF-8 without one")
            values = json.loads(text)
        except DatasetError:
            raise
        except OSError as error:
            raise DatasetError.at(path, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DatasetError.at(path, f"not valid JSON: {error}") from error
        if not isinstance(values, dict):
            raise DatasetError.at(path, "must be a JSON object with `name`, `time` and `negatives`")
        if not isinstance(values.get("name"), str) or not values["name"]:
            raise DatasetError.at(path, "`name` must be a string that is not empty")
        for key, allowed in (("time", TIMES), ("negatives", NEGATIVES)):
            if values.get(key) not in allowed:
                choice = " or ".join(f'"{value}"' for value in allowed)
                raise DatasetError.at(path, f"`{key}` must be {choice}, not {values.get(key)!r}")
        return cls(values["name"], values["time"], values["negatives"])


@dataclass(frozen=True)
class Dataset:
    """All of a dataset folder. Items and users are known by their row in their file."""

    folder: Path
    meta: Meta
    item_ids: list[str]
    titles: list[str]
    # Descriptions; the empty string where an item has none.
    texts: list[str]
    # Main category first.
    categories: list[list[str]]
    # Paths relative to the folder, or None.
    images: list[str | None]
    # What can be features, by column name.
    item_columns: dict[str, RawColumn]
    user_ids: list[str]
    user_columns: dict[str, RawColumn]
    # Interactions, sorted by (timestamp, user id, item id), ids shorter first, then by bytes.
    # int32 [n], int32 [n], int64 [n] (ms or position), int8 [n] (1 click, 0 impression without one).
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray
    # Place of each id in the order that breaks ties, int64 [items] and [users].
    item_rank: np.ndarray
    user_rank: np.ndarray
    # True click probability of each interaction, float32 [n]; simulated data only.
    truth: np.ndarray | None = None
    # When each item came into the catalog, ms, `UNDATED` where that is not known, int64 [items]; None: of no item.
    created_at: np.ndarray | None = None
    # Further columns of the interactions, in their order.
    log_columns: dict[str, RawColumn] = field(default_factory=dict)
    # `action` and `value` of the interactions, where they have them: what histories hold of each.
    past_columns: dict[str, RawColumn] = field(default_factory=dict)
    # Labels of further tasks by name, int8 [n]: 1, 0, or -1 where that is not known. `label` is the task `click`.
    task_labels: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Interactions."""
        return len(self.label)

    # Items and users that only the log names, the last so many: without content, without a profile.
    unlisted_items: int = 0
    unlisted_users: int = 0

    @classmethod
    def load(cls, folder: Path, arrays: Path | None = None) -> Dataset:
        """Read and check a folder. Raises `DatasetError` that names all that is wrong: file, column, rows.

        `arrays`: a folder, named after the content, that keeps the interactions in mapped files; a log larger than
        memory can be read so, and is read from parquet once.
        """
        if not folder.is_dir():
            raise DatasetError.at(folder, "there is no such folder")
        meta = Meta.read(folder / META)
        problems = Problems()
        items, users = open_table(folder / ITEMS, problems), open_table(folder / USERS, problems)
        for name in ("title", "text", "categories"):
            items.has(name)
        item_ids, new_items = with_unlisted(items.unique_ids("item_id"), folder, "item_id")
        user_ids, new_users = with_unlisted(users.unique_ids("user_id"), folder, "user_id")
        created_at = items.times("created_at", meta.time == "ms", UNDATED)
        items.check_flags("available")
        images = items.optional_texts("image")
        check_images(folder, items, images)
        nothing = np.zeros(0, dtype=np.int64)
        made = cls(
            folder=folder,
            meta=meta,
            item_ids=item_ids,
            titles=items.texts("title") + [""] * new_items,
            texts=items.texts("text") + [""] * new_items,
            categories=items.text_lists("categories") + [[] for _ in range(new_items)],
            images=images + [None] * new_items,
            item_columns=longer(items.further_columns(ITEM_COLUMNS), new_items),
            user_ids=user_ids,
            user_columns=longer(users.further_columns(USER_COLUMNS), new_users),
            item_rank=shortlex_rank(item_ids),
            user_rank=shortlex_rank(user_ids),
            created_at=np.append(created_at, np.full(new_items, UNDATED)),
            unlisted_items=new_items,
            unlisted_users=new_users,
            user=nothing,
            item=nothing,
            timestamp=nothing,
            label=nothing,
        )
        log = Log.plan(folder, meta, made, problems)
        events: dict[str, Any] = mapped_arrays(arrays, log.shapes(), log.fill)
        problems.raise_if_any()
        return replace(made, **log.fields(events))


def open_table(path: Path, problems: Problems) -> ParquetTable:
    """A table; where it cannot be read, that is a problem and it is empty."""
    try:
        return ParquetTable(path, problems)
    except DatasetError as error:
        rule = "readable" if path.exists() else "file"
        problems.add(path, rule, str(error).removeprefix(f"{path}: "))
        empty = {name: pa.array([], pa.string()) for name in ("item_id", "user_id", "title", "text")}
        return ParquetTable.of(path, pa.table(empty | {"categories": pa.nulls(0)}), 0, problems)


def with_unlisted(ids: list[str], folder: Path, column: str) -> tuple[list[str], int]:
    """Ids of a table, then those that only the log has, shorter first; and how many these are."""
    unlisted = distinct_ids(folder / INTERACTIONS, column) - set(ids)
    return [*ids, *sorted(unlisted, key=shortlex_key)], len(unlisted)


def longer(columns: dict[str, RawColumn], more: int) -> dict[str, RawColumn]:
    """Columns with `more` rows in which they are absent."""
    return {name: column.longer(more) for name, column in columns.items()} if more else columns


def is_past(name: str, plan: ColumnPlan) -> bool:
    """Whether a column can be the `action` or the `value` of interactions: one value a row, of a value a number."""
    return not plan.lists and (name == "action" or plan.kind != WORDS)


@dataclass(frozen=True)
class Log:
    """Reads `interactions.parquet`, and `truth.parquet` where it is, a piece at a time: 17 and 4 bytes a row."""

    folder: Path
    meta: Meta
    # Its items and users; the log itself is empty.
    dataset: Dataset
    problems: Problems
    # Further columns, and names of further tasks.
    plans: dict[str, ColumnPlan]
    tasks: tuple[str, ...]

    @classmethod
    def plan(cls, folder: Path, meta: Meta, dataset: Dataset, problems: Problems) -> Log:
        """Look at the further columns; where the log cannot be read, `shapes` says so."""
        path = folder / INTERACTIONS
        try:
            tasks = task_columns(path)
            found = plan_log(path, lambda name: is_known(name) and name not in PAST, PIECE)
            plans = {name: plan for name, plan in found.items() if name not in PAST or is_past(name, plan)}
        except DatasetError:
            return cls(folder, meta, dataset, problems, {}, ())
        return cls(folder, meta, dataset, problems, plans, tuple(name.removeprefix(TASK) for name in tasks))

    def fields(self, arrays: Arrays) -> dict[str, Any]:
        """Fields of a `Dataset` of what `fill` wrote."""
        tasks = {task: arrays[f"task_{number}"] for number, task in enumerate(self.tasks)}
        named: dict[str, Any] = {
            name: arrays[name] for name in ("user", "item", "timestamp", "label", "truth") if name in arrays
        }
        columns = columns_of(self.plans, arrays)
        past = {name: columns.pop(name) for name in PAST if name in columns}
        return {**named, "task_labels": tasks, "log_columns": columns, "past_columns": past}

    def shapes(self) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Arrays that `fill` writes. Raises `DatasetError` where the log cannot be read, or truth has other rows."""
        try:
            rows = count_rows(self.folder / INTERACTIONS)
        except DatasetError as error:
            path = self.folder / INTERACTIONS
            rule = "readable" if path.exists() else "file"
            self.problems.add(path, rule, str(error).removeprefix(f"{path}: "))
            self.problems.raise_if_any()
            raise
        kinds: dict[str, type[np.generic]] = {
            "user": np.int32, "item": np.int32, "timestamp": np.int64, "label": np.int8,
        }  # fmt: skip
        if (self.folder / TRUTH).exists():
            found = count_rows(self.folder / TRUTH)
            if found != rows:
                raise DatasetError.at(self.folder / TRUTH, f"has {found} rows, but {INTERACTIONS} has {rows}")
            kinds["truth"] = np.float32
        kinds |= {f"task_{number}": np.int8 for number in range(len(self.tasks))}
        return {name: ((rows,), kind) for name, kind in kinds.items()} | shapes_of(self.plans, rows)

    def fill(self, arrays: Arrays) -> None:
        """Read and check all. Raises `DatasetError`, with what is wrong with items and users too."""
        known = {
            "user_id": pa.array(self.dataset.user_ids, pa.large_string()),
            "item_id": pa.array(self.dataset.item_ids, pa.large_string()),
        }
        further = array_names(self.plans)
        columns = (*LOG_COLUMNS, *(f"{TASK}{task}" for task in self.tasks), *self.plans)
        for piece in pieces(self.folder / INTERACTIONS, self.problems, columns):
            label = piece.labels("label", self.meta.negatives == "matched")
            piece.text_array("request_id")
            piece.check_positions("position")
            found = self.keys(piece, known) | {"label": label}
            found |= {f"task_{number}": piece.task_labels(f"{TASK}{task}") for number, task in enumerate(self.tasks)}
            found |= {further[name]: piece.planned(name, plan) for name, plan in self.plans.items()}
            for name, column in found.items():
                arrays[name][piece.first : piece.first + piece.rows] = column
        if not self.problems.found:
            check_order(self.folder / INTERACTIONS, arrays, self.dataset, self.problems)
        self.problems.raise_if_any()
        if "truth" not in arrays:
            return
        columns = ("user_id", "item_id", "timestamp", "probability")
        for piece in pieces(self.folder / TRUTH, self.problems, columns):
            rows = slice(piece.first, piece.first + piece.rows)
            for name, told in self.keys(piece, known).items():
                other = told != arrays[name][rows]
                if other.any():
                    piece.fault("order", COLUMNS[name], f"differs from {INTERACTIONS}", other)
            arrays["truth"][rows] = piece.shares("probability")
        self.problems.raise_if_any()

    def keys(self, piece: ParquetTable, known: dict[str, pa.Array]) -> dict[str, np.ndarray]:
        """Users, items and times of a piece."""
        return {
            "user": piece.places("user_id", known["user_id"], USERS),
            "item": piece.places("item_id", known["item_id"], ITEMS),
            "timestamp": piece.times("timestamp", self.meta.time == "ms"),
        }


def check_order(path: Path, log: Arrays, dataset: Dataset, problems: Problems) -> None:
    """A problem where a row should stand before the one above it."""
    # Some rows at a time, each piece with the last row of the one before.
    for start in range(0, len(log["user"]) - 1, PIECE):
        rows = slice(start, start + PIECE + 1)
        early = too_early(
            log["timestamp"][rows], dataset.user_rank[log["user"][rows]], dataset.item_rank[log["item"][rows]]
        )
        if early.any():
            rows_early = (np.flatnonzero(early) + start + 1).tolist()
            problems.add(path, "order", UNSORTED, column="timestamp", rows=rows_early)


def too_early(*keys: np.ndarray) -> np.ndarray:
    """Of all rows but the first, by keys of which the first weighs most: which should stand before the one above."""
    later = np.zeros(len(keys[0]) - 1, dtype=bool)
    undecided = np.ones(len(keys[0]) - 1, dtype=bool)
    for key in keys:
        above, below = key[:-1], key[1:]
        later |= undecided & (above > below)
        undecided &= above == below
    return later


def check_images(folder: Path, items: ParquetTable, images: list[str | None]) -> None:
    """A problem where a path leaves the folder or there is no such file."""
    listed: dict[str, set[str]] = {}
    outside, absent = np.zeros(len(images), dtype=bool), np.zeros(len(images), dtype=bool)
    for row, image in enumerate(images):
        if image is None:
            continue
        path = PurePosixPath(image)
        if path.is_absolute() or ".." in path.parts:
            outside[row] = True
            continue
        parent = str(path.parent)
        if parent not in listed:
            place = folder / parent
            listed[parent] = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
        absent[row] = path.name not in listed[parent]
    if outside.any():
        image = images[int(np.argmax(outside))]
        items.fault("image", "image", f"`{image}` must be a path inside the folder, such as images/7.jpg", outside)
    if absent.any():
        items.fault("image", "image", f"there is no file `{images[int(np.argmax(absent))]}` in the folder", absent)
