"""Writes a source as a dataset folder (docs/dataset-format.md), whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plugrank_training.data.adapters.recorded import Items, Recorded
from plugrank_training.data.dataset import INTERACTIONS, ITEMS, META, USERS
from plugrank_training.data.dataset_error import DatasetError

# Raise when a change of the code changes what it writes.
WRITER_VERSION = 3
# What every reader of dataset folders understands (docs/dataset-format.md).
COMPRESSION = "snappy"


def fingerprint(folder: Path, files: list[Path]) -> str:
    """Changes with the content of any file, or the name, size or time of any in a folder inside."""
    digest = hashlib.sha256(f"{WRITER_VERSION}".encode())
    for path in sorted(files):
        status = path.stat()
        digest.update(f"\n{path.relative_to(folder).as_posix()} {status.st_size} ".encode())
        if path.parent == folder:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(f"{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def origin(folder: Path) -> dict[str, Any] | None:
    """What a folder written here says of its source; None for any other folder."""
    try:
        values = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = values.get("converted_from") if isinstance(values, dict) else None
    return found if isinstance(found, dict) else None


def is_current(folder: Path, key: str) -> bool:
    """Whether a folder was written here from the source with this fingerprint, and still has its files."""
    found = origin(folder)
    whole = all((folder / name).is_file() for name in (ITEMS, USERS, INTERACTIONS))
    return found is not None and found.get("fingerprint") == key and whole


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out` that takes its place once the block ends well, and is removed if it does not.

    Raises `DatasetError` where `out` holds something that was not written here.
    """
    out = out.absolute()
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and origin(out) is None:
        raise DatasetError(f"{out} holds files that are not a converted data set; choose a new or empty folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    part, old = (out.with_name(f".{out.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    part.mkdir()
    try:
        yield part
        if out.exists():
            out.rename(old)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_recorded(source: Recorded, images: dict[str, str], out: Path, converted_from: dict[str, Any]) -> None:
    """Write the four files into an empty folder; `images` are paths inside it, by item id."""
    write_items(source.items, images, out / ITEMS)
    users = pa.table({"user_id": source.user_ids} | {name: absent(v) for name, v in source.user_columns.items()})
    pq.write_table(users, out / USERS, compression=COMPRESSION)
    write_interactions(source, out / INTERACTIONS)
    meta = {"name": source.name, "time": source.time, "negatives": source.negatives, "converted_from": converted_from}
    (out / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def absent(values: list[str]) -> pa.Array:
    """Strings; empty ones become null."""
    return pa.array([value or None for value in values], pa.string())


def write_items(items: Items, images: dict[str, str], path: Path) -> None:
    """Items with their categorical columns."""
    table = pa.table(
        {
            "item_id": pa.array(items.ids, pa.string()),
            "title": pa.array(items.titles, pa.string()),
            "text": pa.array(items.texts, pa.string()),
            "categories": pa.array(items.categories, pa.list_(pa.string())),
            "image": pa.array([images.get(identity) for identity in items.ids], pa.string()),
            "created_at": pa.array(items.created_ms, pa.int64()),
        }
        | {name: absent(values) for name, values in items.columns.items()}
    )
    pq.write_table(table, path, compression=COMPRESSION)


def write_interactions(source: Recorded, path: Path) -> None:
    """Events, sorted by (timestamp, user id, item id): rows of users and items are in the order of ids."""
    events = source.events
    order = np.lexsort((events.item, events.user, events.timestamp))
    # Dictionary arrays keep tens of millions of ids small while they are written; the file has plain strings.
    ids = {
        "user_id": pa.DictionaryArray.from_arrays(events.user[order], pa.array(source.user_ids, pa.string())),
        "item_id": pa.DictionaryArray.from_arrays(events.item[order], pa.array(source.items.ids, pa.string())),
    }
    schema = pa.schema(
        [("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64()), ("label", pa.int8())]
    )
    with pq.ParquetWriter(path, schema, compression=COMPRESSION) as writer:
        for start in range(0, len(order), 1 << 20):
            rows = slice(start, start + (1 << 20))
            columns = [ids[name][rows].dictionary_decode() for name in ("user_id", "item_id")]
            columns += [pa.array(events.timestamp[order[rows]]), pa.array(events.label[order[rows]])]
            writer.write_table(pa.table(columns, schema=schema))
