"""Any click log as a dataset folder, by a map; what is left out is counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plugrank_training.data.adapters.folder import COMPRESSION, fingerprint, is_current, replaced_folder
from plugrank_training.data.adapters.log_map import Entities, Label, LogMap, read_map
from plugrank_training.data.adapters.log_rows import (
    as_text,
    column,
    found_by,
    joined_text,
    milliseconds,
    numbers,
    read_files,
)
from plugrank_training.data.dataset import INTERACTIONS, ITEMS, META, USERS
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.ids import shortlex_rank
from plugrank_training.data.parquet_table import ID_BYTES


@dataclass(frozen=True)
class Rows:
    """The log's rows that are kept, in their order of time, user and item."""

    # Rows of `user_ids` and `item_ids`, milliseconds or places, 1 or 0; int64 [n] each.
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray
    user_ids: list[str]
    item_ids: list[str]
    # Which row of the log each is; for a drawn negative `~row` of the positive that it was drawn for.
    source: np.ndarray


def convert_log(map_file: Path, out: Path, progress: bool = True) -> None:
    """Write the dataset folder that a map describes, whole or not at all; unchanged since, it is left as it is.

    Raises `DatasetError` where the map or a file of it cannot be used.
    """
    plan = read_map(map_file)
    home = map_file.parent
    patterns = (*plan.log.files, *plan.items.files, *plan.users.files)
    paths = [map_file, *(path for pattern in patterns for path in found_by(pattern, home))]
    key = fingerprint(home, [path for path in paths if path.is_file()])
    if is_current(out, key):
        if progress:
            print(f"{out}: converted by this map before, reused", flush=True)
        return
    table = read_files(plan.log, home)
    dropped: dict[str, int] = {}
    rows = rows_of(plan, table, dropped)
    if not len(rows.label):
        raise DatasetError(f"{map_file}: no row of the log is left; {told(dropped)}")
    with replaced_folder(out) as part:
        items = entities_of(plan.items, table, home, rows.item_ids, plan.item_id, "items", dropped)
        write_items(items, plan.items, part / ITEMS)
        users = entities_of(plan.users, table, home, rows.user_ids, plan.user_id, "users", dropped)
        unmapped = unmapped_columns(plan, table, items.table, users.table)
        pq.write_table(pa.table({"user_id": users.ids} | features(users, plan.users, "users")), part / USERS)
        write_log(rows, table, plan, part / INTERACTIONS)
        origin = {"map": map_file.name, "fingerprint": key, "dropped": dropped, "not_mapped": unmapped}
        meta = {
            "name": plan.name,
            "time": "ms" if plan.timestamp.column else "order",
            "negatives": "matched" if plan.clicks_only else "logged",
            "converted_from": origin,
        }
        (part / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    if progress:
        drawn = int((rows.source < 0).sum())
        print(f"{out}: {len(rows.label):,} interactions, {rows.label.mean():.2%} positive, {drawn:,} drawn negatives")
        print(f"  {len(rows.user_ids):,} users; {len(items.ids):,} items")
        print(f"  left out: {told(dropped)}")
        for source, names in unmapped.items():
            print(f"  columns of {source} that no key of the map names: {', '.join(names)}")


def told(dropped: Mapping[str, int]) -> str:
    """Summary of the rows that were left out."""
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "nothing"


def unmapped_columns(plan: LogMap, log: pa.Table, items: pa.Table, users: pa.Table) -> dict[str, list[str]]:
    """Columns that nothing is made of, by where they are."""
    sources = [("log", log, plan.columns())]
    for source, part, table, log_id in (
        ("items", plan.items, items, plan.item_id),
        ("users", plan.users, users, plan.user_id),
    ):
        if part.files:
            sources.append((source, table, part.columns() | set(part.id or log_id)))
    left = {source: [name for name in table.column_names if name not in read] for source, table, read in sources}
    return {source: names for source, names in left.items() if names}


def rows_of(plan: LogMap, table: pa.Table, dropped: dict[str, int]) -> Rows:
    """Check, label and sort the log's rows; count what is left out and why."""
    kept = np.ones(table.num_rows, dtype=bool)

    def keep(those: np.ndarray, reason: str) -> None:
        lost = int((kept & ~those).sum())
        if lost:
            dropped[reason] = dropped.get(reason, 0) + lost
        kept[:] &= those

    ids = {}
    for name, names in (("user", plan.user_id), ("item", plan.item_id)):
        ids[name] = joined_text(table, names, f"{name}_id")
        keep(flags(pc.is_valid(ids[name])), f"rows without a {name}")
        short = pc.less_equal(pc.fill_null(pc.binary_length(ids[name]), 0), ID_BYTES)
        keep(flags(short), f"rows whose {name} id has more than {ID_BYTES} bytes")
    if plan.timestamp.column:
        time, there = milliseconds(table, plan.timestamp, "timestamp")
        keep(there, "rows without a readable time")
    else:
        time = np.arange(table.num_rows, dtype=np.int64)
    label = labels(plan.label, table, keep)
    source = np.flatnonzero(kept)
    user, user_ids = coded(ids["user"], source)
    item, item_ids = coded(ids["item"], source)
    rows = Rows(user, item, time[source], label[source], user_ids, item_ids, source)
    if plan.sample.per_positive:
        rows = with_negatives(rows, plan)
    order = np.lexsort((shortlex_rank(item_ids)[rows.item], shortlex_rank(user_ids)[rows.user], rows.timestamp))
    return Rows(
        rows.user[order], rows.item[order], rows.timestamp[order], rows.label[order], user_ids, item_ids,
        rows.source[order],
    )  # fmt: skip


def flags(array: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Booleans; null is false."""
    found: np.ndarray = np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)
    return found


def labels(plan: Label, table: pa.Table, keep: Any) -> np.ndarray:
    """1 or 0 of every row, int8; rows to be left out are told to `keep`."""
    if not plan.column:
        return np.ones(table.num_rows, dtype=np.int8)
    values = column(table, plan.column, "label.column")
    if plan.at_least is not None:
        found = numbers(values)
        keep(np.isfinite(found), "rows without a number to label them by")
        return (found >= plan.at_least).astype(np.int8)
    text = as_text(values)
    if plan.ignored:
        keep(~flags(pc.is_in(text, pa.array(plan.ignored, pa.string()))), f"rows that are {' or '.join(plan.ignored)}")
    keep(flags(pc.is_valid(text)), "rows without a label")
    if plan.positive:
        return flags(pc.is_in(text, pa.array(plan.positive, pa.string()))).astype(np.int8)
    lower = pc.utf8_lower(text)
    positive = flags(pc.is_in(lower, pa.array(["1", "true"])))
    known = positive | flags(pc.is_in(lower, pa.array(["0", "false"])))
    keep(known, "rows whose label is neither 0 nor 1 (name the `positive` ones)")
    return positive.astype(np.int8)


def task_labels(plan: Label, table: pa.Table, key: str) -> np.ndarray:
    """1 or 0 of every row for a further task, -1 where that is not known, int8."""
    values = column(table, plan.column, f"{key}.column")
    if plan.at_least is not None:
        found = numbers(values)
        return np.where(np.isfinite(found), found >= plan.at_least, -1).astype(np.int8)
    text = as_text(values)
    if plan.positive:
        positive, known = flags(pc.is_in(text, pa.array(plan.positive, pa.string()))), flags(pc.is_valid(text))
    else:
        lower = pc.utf8_lower(text)
        positive = flags(pc.is_in(lower, pa.array(["1", "true"])))
        known = positive | flags(pc.is_in(lower, pa.array(["0", "false"])))
    if plan.ignored:
        known &= ~flags(pc.is_in(text, pa.array(plan.ignored, pa.string())))
    return np.where(known, positive, -1).astype(np.int8)


def coded(values: pa.Array, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Places of ids among the distinct ones, shorter first, then by bytes; and these."""
    encoded = values.take(pa.array(rows)).dictionary_encode()
    ids: list[str] = encoded.dictionary.to_pylist()
    rank = shortlex_rank(ids)
    in_order = [ids[place] for place in np.argsort(rank)]
    return rank[encoded.indices.to_numpy(zero_copy_only=False)].astype(np.int64), in_order


def with_negatives(rows: Rows, plan: LogMap) -> Rows:
    """Positives, each with drawn items of the same user and time that the user never chose."""
    random = np.random.default_rng(plan.sample.seed)
    chosen = rows.label == 1
    user, item, time = rows.user[chosen], rows.item[chosen], rows.timestamp[chosen]
    items = len(rows.item_ids)
    weight = np.bincount(item, minlength=items).astype(np.float64)
    chance = weight / weight.sum() if plan.sample.by == "popular" else None
    each = plan.sample.per_positive
    drawn = random.choice(items, size=len(item) * each, p=chance)
    drawn_user, drawn_time = np.repeat(user, each), np.repeat(time, each)
    # What the user chose at any time is no negative, and no item comes twice at one moment.
    mine = np.isin(drawn_user * items + drawn, np.unique(user * items + item))
    triple = np.stack([drawn_user, drawn_time, drawn])[:, ~mine]
    triple, first = np.unique(triple, axis=1, return_index=True)
    shown_with = np.repeat(rows.source[chosen], each)[~mine][first]
    ones, zeros = np.ones(len(item), dtype=np.int8), np.zeros(triple.shape[1], dtype=np.int8)
    return Rows(
        np.concatenate([user, triple[0]]),
        np.concatenate([item, triple[2]]),
        np.concatenate([time, triple[1]]),
        np.concatenate([ones, zeros]),
        rows.user_ids,
        rows.item_ids,
        np.concatenate([rows.source[chosen], ~shown_with]),
    )


@dataclass(frozen=True)
class Listed:
    """Items or users, one row each, with the columns they are described by."""

    ids: list[str]
    table: pa.Table


def entities_of(
    plan: Entities, log: pa.Table, home: Path, used: Sequence[str], log_id: Sequence[str], kind: str,
    dropped: dict[str, int],
) -> Listed:  # fmt: skip
    """Rows of files of their own (the first of each id), or of the log (the newest of each).

    What the log lacks is kept; what only the log names gets a row without a description.
    """
    table = read_files(plan.source(), home) if plan.files else log
    ids = joined_text(table, plan.id or log_id, f"{kind}.id")
    rows = np.flatnonzero(flags(pc.is_valid(ids)))
    if not plan.files:
        rows = rows[::-1]
    encoded = ids.take(pa.array(rows)).dictionary_encode()
    _, first = np.unique(encoded.indices.to_numpy(zero_copy_only=False), return_index=True)
    if plan.files and len(first) < len(rows):
        dropped[f"rows of {kind} whose id stood above"] = len(rows) - len(first)
    places = dict(zip(encoded.dictionary.to_pylist(), rows[first].tolist(), strict=True))
    if not plan.files:
        places = {identity: places[identity] for identity in used}
    names = [*places, *(identity for identity in used if identity not in places)]
    wanted = pa.array([places.get(identity) for identity in names], pa.int64())
    return Listed(names, table.take(wanted))


def features(listed: Listed, plan: Entities, kind: str) -> dict[str, pa.Array]:
    """Feature columns by their new names: text or lists of it, and numbers. Raises `DatasetError`."""
    made: dict[str, pa.Array] = {}
    for name in plan.features:
        made[plan.rename.get(name, name)] = words(column(listed.table, name, f"{kind}.features"))
    for name in plan.numbers:
        made[plan.rename.get(name, name)] = number_column(column(listed.table, name, f"{kind}.numbers"))
    for name, edges in plan.buckets.items():
        values = numbers(column(listed.table, name, f"{kind}.buckets"))
        made[plan.rename.get(name, name)] = bucket_names(values, edges)
    taken = {"item_id", "user_id", "title", "text", "categories", "image", "created_at", "available"} & set(made)
    if taken:
        raise DatasetError(f"`{kind}.features`: `{min(taken)}` has a meaning of its own; give it a name by `rename`")
    return made


def words(values: pa.Array) -> pa.Array:
    """Text, or lists of text."""
    is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    return values.cast(pa.list_(pa.string())) if is_list else as_text(values)


def number_column(values: pa.Array) -> pa.Array:
    """Numbers, null where there is none."""
    found = numbers(values)
    return pa.array(found, pa.float64(), mask=~np.isfinite(found))


def bucket_names(values: np.ndarray, edges: Sequence[float]) -> pa.Array:
    """`below 10`, `10 to 100`, `from 100` of numbers; null where there is none."""
    texts = [f"{edge:g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    names = pa.array([f"below {texts[0]}", *between, f"from {texts[-1]}"], pa.string())
    places = np.searchsorted(np.array(edges), values, side="right")
    return names.take(pa.array(places, mask=~np.isfinite(values)))


def write_items(listed: Listed, plan: Entities, path: Path) -> None:
    """`items.parquet`. An item without mapped text is described by its features: PPM needs something to read."""
    made = features(listed, plan, "items")
    absent = pa.nulls(len(listed.ids), pa.string())
    columns: dict[str, Any] = {"item_id": pa.array(listed.ids, pa.string())}
    columns["title"] = sentence(listed, plan.title, "items.title", " ") if plan.title else absent
    columns["text"] = sentence(listed, plan.text, "items.text", "\n") if plan.text else absent
    if not plan.title and not plan.text:
        columns["text"] = described(made, len(listed.ids))
    columns["categories"] = categories(listed, plan)
    if plan.image:
        columns["image"] = as_text(column(listed.table, plan.image, "items.image"))
    if plan.created_at.column:
        time, there = milliseconds(listed.table, plan.created_at, "items.created_at")
        columns["created_at"] = pa.array(time, pa.int64(), mask=~there)
    if plan.available:
        values = numbers(column(listed.table, plan.available, "items.available"))
        columns["available"] = pa.array(values != 0, pa.bool_(), mask=~np.isfinite(values))
    pq.write_table(pa.table(columns | made), path, compression=COMPRESSION)


def sentence(listed: Listed, names: Sequence[str], key: str, between: str) -> pa.Array:
    """Columns one after another, absent ones left out."""
    parts = [as_text(column(listed.table, name, key)).to_pylist() for name in names]
    return pa.array([between.join(filter(None, row)) or None for row in zip(*parts, strict=True)], pa.string())


def described(made: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """`brand acme. colour red.` of an item's features."""
    parts = [[sentence_of(name, value) for value in values.to_pylist()] for name, values in made.items()]
    if not parts:
        return pa.nulls(rows, pa.string())
    return pa.array([" ".join(filter(None, row)) or None for row in zip(*parts, strict=True)], pa.string())


def sentence_of(name: str, value: Any) -> str:
    """`brand acme.`; empty where there is no value."""
    if isinstance(value, list):
        value = " ".join(filter(None, value))
    if isinstance(value, float):
        value = f"{value:g}"
    return f"{name} {value}." if value else ""


def categories(listed: Listed, plan: Entities) -> pa.Array:
    """Lists of categories: columns one after another, each a list or a text, cut where the map says so."""
    rows: list[list[str]] = [[] for _ in listed.ids]
    for name in plan.categories:
        values = column(listed.table, name, "items.categories")
        is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
        found = values.to_pylist() if is_list else as_text(values).to_pylist()
        for row, value in zip(rows, found, strict=True):
            if isinstance(value, str):
                value = value.split(plan.categories_separator) if plan.categories_separator else [value]
            row += [str(entry).strip() for entry in value or [] if entry is not None and str(entry).strip()]
    return pa.array(rows, pa.list_(pa.string()))


def write_log(rows: Rows, table: pa.Table, plan: LogMap, path: Path) -> None:
    """`interactions.parquet` with the columns that are kept; a drawn negative has those of its positive, whose request
    it shares: what only positives have would tell them apart."""
    columns: dict[str, Any] = {
        "user_id": pa.array(rows.user_ids, pa.string()).take(pa.array(rows.user)),
        "item_id": pa.array(rows.item_ids, pa.string()).take(pa.array(rows.item)),
        "timestamp": pa.array(rows.timestamp, pa.int64()),
        "label": pa.array(rows.label, pa.int8()),
    }
    drawn = rows.source < 0
    own = np.where(drawn, ~rows.source, rows.source)
    for task, label in plan.tasks.items():
        found = task_labels(label, table, f"tasks.{task}")[own]
        found[drawn] = 0
        columns[f"label_{task}"] = pa.array(np.maximum(found, 0), pa.int8(), mask=found < 0)
    # What was done is of the positive alone.
    done = pa.array(rows.source, mask=drawn)
    if plan.action:
        columns["action"] = as_text(column(table, plan.action, "action")).take(done)
    if plan.value:
        columns["value"] = number_column(column(table, plan.value, "value")).take(done)
    taken = [name for name in (*plan.keep, *plan.numbers) if name in columns]
    if taken:
        raise DatasetError(f"`keep`: `{taken[0]}` is written from the map already")
    source = pa.array(own)
    for name in plan.keep:
        columns[name] = column(table, name, "keep").take(source)
    for name in plan.numbers:
        columns[name] = number_column(column(table, name, "numbers")).take(source)
    pq.write_table(pa.table(columns), path, compression=COMPRESSION)
