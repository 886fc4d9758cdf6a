"""The dataset folder (docs/dataset-format.md): items and users in memory, interactions there or mapped from files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.ids import shortlex_rank
from plugrank_training.data.interaction_file import PIECE, count_rows, pieces
from plugrank_training.data.mapped import Arrays, mapped_arrays
from plugrank_training.data.parquet_table import ParquetTable

ITEMS, USERS, INTERACTIONS = "items.parquet", "users.parquet", "interactions.parquet"
TRUTH, META = "truth.parquet", "dataset.json"
# Columns by the names of their arrays.
COLUMNS = {"user": "user_id", "item": "item_id", "timestamp": "timestamp"}
TIMES, NEGATIVES = ("ms", "order"), ("logged", "matched")
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
            values = json.loads(path.read_text(encoding="utf-8"))
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
    # Categorical features, by column name; the empty string means absent.
    item_columns: dict[str, list[str]]
    user_ids: list[str]
    user_columns: dict[str, list[str]]
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

    @property
    def rows(self) -> int:
        """Interactions."""
        return len(self.label)

    @classmethod
    def load(cls, folder: Path, arrays: Path | None = None) -> Dataset:
        """Read and check a folder. Raises `DatasetError`, naming file, column and row.

        `arrays`: a folder, named after the content, that keeps the interactions in mapped files; a log larger than
        memory can be read so, and is read from parquet once.
        """
        if not folder.is_dir():
            raise DatasetError.at(folder, "there is no such folder")
        meta = Meta.read(folder / META)
        items = ParquetTable(folder / ITEMS)
        items.require(["item_id", "title", "text", "categories"])
        item_ids = items.unique_ids("item_id")
        users = ParquetTable(folder / USERS)
        user_ids = users.unique_ids("user_id")
        log = Log(folder, meta, user_ids, item_ids)
        events = mapped_arrays(arrays, log.shapes(), log.fill)
        images = items.optional_texts("image")
        check_images(folder, items, images)
        return cls(
            folder=folder,
            meta=meta,
            item_ids=item_ids,
            titles=items.texts("title"),
            texts=items.texts("text"),
            categories=items.text_lists("categories"),
            images=images,
            item_columns=items.feature_columns(["item_id", "title", "text", "categories", "image", "created_at"]),
            user_ids=user_ids,
            user_columns=users.feature_columns(["user_id"]),
            user=events["user"],
            item=events["item"],
            timestamp=events["timestamp"],
            label=events["label"],
            item_rank=shortlex_rank(item_ids),
            user_rank=shortlex_rank(user_ids),
            truth=events.get("truth"),
            created_at=items.optional_integers("created_at", UNDATED),
        )


@dataclass(frozen=True)
class Log:
    """Reads `interactions.parquet`, and `truth.parquet` where it is, a piece at a time: 17 and 4 bytes a row."""

    folder: Path
    meta: Meta
    user_ids: list[str]
    item_ids: list[str]

    def shapes(self) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Arrays that `fill` writes. Raises `DatasetError` where the two files differ in length."""
        rows = count_rows(self.folder / INTERACTIONS)
        kinds: dict[str, type[np.generic]] = {
            "user": np.int32, "item": np.int32, "timestamp": np.int64, "label": np.int8,
        }  # fmt: skip
        if (self.folder / TRUTH).is_file():
            found = count_rows(self.folder / TRUTH)
            if found != rows:
                raise DatasetError.at(self.folder / TRUTH, f"has {found} rows, but {INTERACTIONS} has {rows}")
            kinds["truth"] = np.float32
        return {name: ((rows,), kind) for name, kind in kinds.items()}

    def fill(self, arrays: Arrays) -> None:
        """Read and check all. Raises `DatasetError`."""
        user_rank, item_rank = shortlex_rank(self.user_ids), shortlex_rank(self.item_ids)
        for piece in pieces(self.folder / INTERACTIONS):
            for name, column in (self.keys(piece) | {"label": read_labels(piece, self.meta)}).items():
                arrays[name][piece.first : piece.first + piece.rows] = column
        check_order(self.folder / INTERACTIONS, arrays, user_rank, item_rank)
        if "truth" not in arrays:
            return
        for piece in pieces(self.folder / TRUTH, ("user_id", "item_id", "timestamp", "probability")):
            rows = slice(piece.first, piece.first + piece.rows)
            for name, found in self.keys(piece).items():
                wanted = arrays[name][rows]
                if not np.array_equal(found, wanted):
                    raise piece.error(COLUMNS[name], f"differs from {INTERACTIONS}", int(np.argmax(found != wanted)))
            arrays["truth"][rows] = piece.shares("probability")

    def keys(self, piece: ParquetTable) -> dict[str, np.ndarray]:
        """Users, items and times of a piece."""
        return {
            "user": piece.places("user_id", self.user_ids, USERS),
            "item": piece.places("item_id", self.item_ids, ITEMS),
            "timestamp": piece.integers("timestamp", np.int64),
        }


def read_labels(events: ParquetTable, meta: Meta) -> np.ndarray:
    """Labels, 0 or 1; only 1 where `negatives` is `matched`."""
    label = events.integers("label", np.int8)
    wrong = (label != 0) & (label != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise events.error("label", f"{label[row]} is neither 0 nor 1", row)
    if meta.negatives == "matched" and not label.all():
        row = int(np.argmin(label))
        raise events.error("label", f'0, but {META} says "negatives": "matched", only clicks were recorded', row)
    return label


def check_order(path: Path, log: Arrays, user_rank: np.ndarray, item_rank: np.ndarray) -> None:
    """Raise at the first row that should stand before the one above it."""
    # Some rows at a time, each piece with the last row of the one before.
    for start in range(0, len(log["user"]) - 1, PIECE):
        rows = slice(start, start + PIECE + 1)
        row = first_too_early(log["timestamp"][rows], user_rank[log["user"][rows]], item_rank[log["item"][rows]])
        if row is None:
            continue
        raise DatasetError.at(
            path,
            "comes before the row above it; sort by (timestamp, user_id, item_id), ids shorter first, then by bytes",
            row=start + row,
        )


def first_too_early(*keys: np.ndarray) -> int | None:
    """The first of some rows, by keys of which the first weighs most, that should stand before the one above it."""
    later = np.zeros(len(keys[0]) - 1, dtype=bool)
    undecided = np.ones(len(keys[0]) - 1, dtype=bool)
    for key in keys:
        above, below = key[:-1], key[1:]
        later |= undecided & (above > below)
        undecided &= above == below
    return int(np.argmax(later)) + 1 if later.any() else None


def check_images(folder: Path, items: ParquetTable, images: list[str | None]) -> None:
    """Raise where a path leaves the folder or there is no such file."""
    listed: dict[str, set[str]] = {}
    for row, image in enumerate(images):
        if image is None:
            continue
        path = PurePosixPath(image)
        if path.is_absolute() or ".." in path.parts:
            raise items.error("image", f"`{image}` must be a path inside the folder, such as images/7.jpg", row)
        parent = str(path.parent)
        if parent not in listed:
            place = folder / parent
            listed[parent] = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
        if path.name not in listed[parent]:
            raise items.error("image", f"there is no file `{image}` in the folder", row)
