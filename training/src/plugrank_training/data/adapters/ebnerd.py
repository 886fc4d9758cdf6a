"""The layout of EB-NeRD (Kruse et al., RecSys Challenge 2024): `articles.parquet`, and of each part a folder with
`behaviors.parquet` (articles seen and clicked) and `history.parquet` (clicks of the 21 days before the part).

A user's history is read up to their first impression of any part, as later clicks of it stand in the parts too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugrank_training.data.adapters.recorded import Events, Items, Recorded
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.ids import shortlex_key
from plugrank_training.data.parquet_table import ParquetTable

ARTICLES, BEHAVIORS, HISTORY = "articles.parquet", "behaviors.parquet", "history.parquet"
PARTS = ("train", "validation")
FILES = (ARTICLES, f"{PARTS[0]}/{BEHAVIORS}", f"{PARTS[0]}/{HISTORY}")
OPTIONAL = (f"{PARTS[1]}/{BEHAVIORS}", f"{PARTS[1]}/{HISTORY}")
ARTICLE_COLUMNS = ("article_id", "title", "subtitle", "body", "category_str", "topics", "published_time")
# Columns of articles and of users that become features.
ITEM_FEATURES = ("article_type", "premium", "sentiment_label")
USER_FEATURES = ("gender", "postcode", "age", "is_subscriber")
BEHAVIOR_COLUMNS = ("user_id", "impression_time", "article_ids_inview", "article_ids_clicked")
HISTORY_COLUMNS = ("user_id", "impression_time_fixed", "article_id_fixed")


@dataclass(frozen=True)
class Rows:
    """Interactions by the source's own numbers, int64 `[n]` each."""

    user: np.ndarray
    article: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray


def read(folder: Path, progress: bool) -> Recorded:  # noqa: ARG001 - parquet is read in one go
    """All parts together."""
    parts = [folder / name for name in PARTS if (folder / name / BEHAVIORS).is_file()]
    behaviors = [table_of(part / BEHAVIORS, BEHAVIOR_COLUMNS) for part in parts]
    shown = joined([impressions(table) for table in behaviors])
    clicked = joined([history(table_of(part / HISTORY, HISTORY_COLUMNS)) for part in parts])
    rows = unique(joined([shown, before_first(clicked, shown)]))
    items, numbers = read_articles(folder / ARTICLES)
    known = np.isin(rows.article, numbers)
    left_out = int((~known).sum())
    rows = Rows(*(column[known] for column in (rows.user, rows.article, rows.timestamp, rows.label)))
    users = np.unique(rows.user)
    note = f"{left_out:,} interactions with articles that are not in {ARTICLES} are left out"
    order = np.array(sorted(range(len(users)), key=lambda place: shortlex_key(str(users[place]))), dtype=np.int64)
    return Recorded(
        "eb-nerd",
        items,
        [str(user) for user in users[order].tolist()],
        user_columns(behaviors, users[order]),
        Events(rows_in(users[order], rows.user), rows_in(numbers, rows.article), rows.timestamp, rows.label),
        notes=(note,) if left_out else (),
    )


def table_of(path: Path, columns: tuple[str, ...]) -> ParquetTable:
    """A file that must have these columns."""
    table = ParquetTable(path)
    for column in columns:
        table.has(column)
    return table


def whole(table: ParquetTable, name: str, values: pa.Array) -> np.ndarray:
    """Integers without gaps, int64 `[n]`; of times, milliseconds."""
    if values.null_count:
        raise DatasetError.at(table.path, "is null", column=name)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("ms"), safe=False)
    found: np.ndarray = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found


def lists(table: ParquetTable, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Entries of all rows' lists one after another, and how many each row has."""
    column = table.columns[name]
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise DatasetError.at(table.path, f"must be lists, not {column.type}", column=name)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return whole(table, name, pc.list_flatten(column)), lengths


def impressions(table: ParquetTable) -> Rows:
    """What was seen, 1 where it was clicked; what was clicked and not told as seen, as clicked."""
    user, moment = (whole(table, name, table.columns[name]) for name in ("user_id", "impression_time"))
    seen, seen_lengths = lists(table, "article_ids_inview")
    clicked, click_lengths = lists(table, "article_ids_clicked")
    row = np.concatenate([np.repeat(np.arange(table.rows), n) for n in (click_lengths, seen_lengths)])
    article = np.concatenate([clicked, seen])
    label = (np.arange(len(article)) < len(clicked)).astype(np.int64)
    # Clicks come first, and of a list's article the first stays.
    _, first = np.unique(row * (int(article.max(initial=0)) + 1) + article, return_index=True)
    return Rows(user[row[first]], article[first], moment[row[first]], label[first])


def history(table: ParquetTable) -> Rows:
    """Clicks before a part."""
    user = whole(table, "user_id", table.columns["user_id"])
    article, lengths = lists(table, "article_id_fixed")
    moment, same = lists(table, "impression_time_fixed")
    differ = np.flatnonzero(lengths != same)
    if len(differ):
        problem = f"{same[differ[0]]} times for {lengths[differ[0]]} articles"
        raise DatasetError.at(table.path, problem, column="impression_time_fixed", row=int(differ[0]))
    return Rows(np.repeat(user, lengths), article, moment, np.ones(len(article), dtype=np.int64))


def before_first(clicks: Rows, shown: Rows) -> Rows:
    """Clicks before the user's first impression."""
    users, place = np.unique(shown.user, return_inverse=True)
    first = np.full(len(users), np.iinfo(np.int64).max)
    np.minimum.at(first, place, shown.timestamp)
    at = np.minimum(np.searchsorted(users, clicks.user), max(0, len(users) - 1))
    kept = (users[at] != clicks.user) | (clicks.timestamp < first[at]) if len(users) else np.ones(len(at), bool)
    return Rows(clicks.user[kept], clicks.article[kept], clicks.timestamp[kept], clicks.label[kept])


def joined(parts: list[Rows]) -> Rows:
    """One after another."""
    names = ("user", "article", "timestamp", "label")
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def unique(rows: Rows) -> Rows:
    """Each interaction once: histories of two parts overlap."""
    every = (rows.user, rows.article, rows.timestamp, rows.label)
    order = np.lexsort(every)
    columns = [column[order] for column in every]
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    user, article, timestamp, label = (column[new] for column in columns)
    return Rows(user, article, timestamp, label.astype(np.int8))


def rows_in(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Place of each of `wanted` in `numbers`, int32."""
    order = np.argsort(numbers, kind="stable")
    return order[np.searchsorted(numbers[order], wanted)].astype(np.int32)


def read_articles(path: Path) -> tuple[Items, np.ndarray]:
    """Articles in the order of their ids, and these as numbers."""
    table = table_of(path, (*ARTICLE_COLUMNS, *ITEM_FEATURES))
    numbers = whole(table, "article_id", table.columns["article_id"])
    if len(np.unique(numbers)) != len(numbers):
        raise DatasetError.at(path, "an id stands twice", column="article_id")
    order = np.array(sorted(range(len(numbers)), key=lambda row: shortlex_key(str(numbers[row]))), dtype=np.int64)
    column = {name: table.columns[name].take(pa.array(order)).to_pylist() for name in table.columns}
    texts = zip(column["subtitle"], column["body"], strict=True)
    named = zip(column["category_str"], column["topics"], strict=True)
    published = table.columns["published_time"].take(pa.array(order)).cast(pa.timestamp("ms"), safe=False)
    items = Items(
        ids=[str(number) for number in numbers[order].tolist()],
        titles=[(title or "").strip() for title in column["title"]],
        texts=["\n".join(part.strip() for part in parts if part and part.strip()) for parts in texts],
        categories=[
            [name for name in dict.fromkeys([main, *(topics or [])]) if name and name.strip()] for main, topics in named
        ],
        created_ms=published.cast(pa.int64()).to_pylist(),
        columns={name: [text_of(value) for value in column[name]] for name in ITEM_FEATURES},
    )
    return items, numbers[order]


def user_columns(behaviors: list[ParquetTable], users: np.ndarray) -> dict[str, list[str]]:
    """What the latest of each user's impressions says of the user; empty where it says nothing."""
    of_user, moment = (
        np.concatenate([whole(table, name, table.columns[name]) for table in behaviors])
        for name in ("user_id", "impression_time")
    )
    order = np.lexsort((moment, of_user))
    made: dict[str, list[str]] = {}
    for name in USER_FEATURES:
        values = pa.chunked_array([table.columns.get(name, pa.nulls(table.rows)) for table in behaviors])
        said = order[values.is_valid().to_numpy()[order]]
        last = np.searchsorted(of_user[said], users, side="right") - 1
        told = (last >= 0) & (of_user[said[last]] == users) if len(said) else np.zeros(len(users), dtype=bool)
        column = [""] * len(users)
        for place, value in zip(np.flatnonzero(told), values.take(pa.array(said[last[told]])).to_pylist(), strict=True):
            column[place] = text_of(value)
        made[name] = column
    return made


def text_of(value: object) -> str:
    """A value as a category; whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
