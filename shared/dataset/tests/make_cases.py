"""Writes `cases/`: dataset folders as other writers make them, valid and invalid ones.

`cases.json` says what a reader must find in each: nothing, or `file column rule` for every problem. The loader's tests
and training's read the same folders. Needs pandas, polars, duckdb and pyarrow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).parent / "cases"
# 2026-11-18.
T0 = 1_795_000_000_000
Tables = dict[str, pa.Table]


def tables() -> Tables:
    """A shop of four items, three users and eight impressions."""
    log = [(T0 + n * 60_000, f"u{1 + n % 3}", f"i{1 + (n * 3) % 4}", n % 2) for n in range(8)]
    return {
        "items": pa.table(
            {
                "item_id": [f"i{n}" for n in range(1, 5)],
                "title": [f"Lamp {n}" for n in range(1, 5)],
                "text": ["Light.", None, "", "Bright."],
                "categories": pa.array([["lamp", "home"], ["lamp"], [], None], pa.list_(pa.string())),
                "created_at": pa.array([T0 - n * 86_400_000 for n in range(4)], pa.int64()),
                "brand": ["acme", None, "acme", "lux"],
            }
        ),
        "users": pa.table({"user_id": ["u1", "u2", "u3"], "region": ["north", "south", None]}),
        "interactions": pa.table(
            {
                "user_id": [row[1] for row in log],
                "item_id": [row[2] for row in log],
                "timestamp": pa.array([row[0] for row in log], pa.int64()),
                "label": pa.array([row[3] for row in log], pa.int8()),
            }
        ),
    }


class Cases:
    """Folders as they are written, with what is expected of each."""

    def __init__(self) -> None:
        self.expected: dict[str, list[str]] = {}

    def folder(self, name: str, expected: Sequence[str], meta: dict[str, Any] | None = None) -> Path:
        """An empty folder with `dataset.json`."""
        out = HERE / name
        out.mkdir(parents=True)
        values = {"name": name, "time": "ms", "negatives": "logged"} | (meta or {})
        (out / "dataset.json").write_text(json.dumps(values), encoding="utf-8")
        self.expected[name] = sorted(expected)
        return out

    def write(
        self, name: str, changed: Tables | None = None, expected: Sequence[str] = (), meta: Any = None, **options: Any
    ) -> Path:
        """The shop with tables replaced."""
        out = self.folder(name, expected, meta)
        for file, table in (tables() | (changed or {})).items():
            pq.write_table(table, out / f"{file}.parquet", **options)
        return out


def put(table: pa.Table, column: str, values: Any) -> pa.Table:
    """A table with one column replaced or added."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    place = table.schema.get_field_index(column)
    return table.append_column(column, array) if place < 0 else table.set_column(place, column, array)


def writers(cases: Cases) -> None:
    """What other programs write by default."""
    cases.write("plain")
    for codec in ("none", "gzip", "brotli", "lz4", "zstd"):
        cases.write(f"codec_{codec}", compression=codec)
    out = cases.folder("polars", [])
    for file, table in tables().items():
        pl.from_arrow(table).write_parquet(out / f"{file}.parquet")
    out = cases.folder("duckdb", [])
    for file, table in tables().items():
        connection = duckdb.connect()
        connection.register("written", table)
        connection.table("written").write_parquet(str(out / f"{file}.parquet"))
    out = cases.folder("pandas_index", [])
    for file, table in tables().items():
        frame = table.to_pandas()
        frame.index = [f"row{number}" for number in range(len(frame))]
        frame.to_parquet(out / f"{file}.parquet")
    out = cases.write("spark_parts")
    for file in ("items", "interactions"):
        (out / f"{file}.parquet").unlink()
        parts = out / f"{file}.parquet"
        parts.mkdir()
        table = tables()[file]
        pq.write_table(table.slice(0, 3), parts / "part-00000-ab.snappy.parquet")
        pq.write_table(table.slice(3), parts / "part-00001-ab.snappy.parquet")
        (parts / "_SUCCESS").touch()
    out = cases.write("empty_parts", expected=["items.parquet  readable"])
    (out / "items.parquet").unlink()
    (out / "items.parquet").mkdir()
    (out / "items.parquet" / "_SUCCESS").touch()


def types(cases: Cases) -> None:
    """Types of the same meaning, and others."""
    shop = tables()
    items, users, log = shop["items"], shop["users"], shop["interactions"]
    large = put(items, "categories", pa.array(items["categories"].to_pylist(), pa.large_list(pa.large_string())))
    cases.write("large_types", {"items": put(large, "item_id", items["item_id"].cast(pa.large_string()))})
    cases.write(
        "dictionaries",
        {
            "users": put(users, "region", users["region"].dictionary_encode()),
            "interactions": put(log, "item_id", log["item_id"].dictionary_encode()),
        },
    )
    fixed = pa.array([["a", "b"]] * 4, pa.list_(pa.string(), 2))
    cases.write("fixed_lists", {"items": put(items, "categories", fixed)})
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "UTC", "Europe/Lisbon"):
            times = log["timestamp"].cast(pa.timestamp("ms", zone)).cast(pa.timestamp(unit, zone))
            name = f"time_{unit}_{(zone or 'naive').replace('/', '-')}"
            cases.write(name, {"interactions": put(log, "timestamp", times)})
    stamps = put(log, "timestamp", log["timestamp"].cast(pa.timestamp("ms")))
    cases.write("time_int96", {"interactions": stamps}, use_deprecated_int96_timestamps=True)
    dates = pc.cast(items["created_at"], pa.timestamp("ms")).cast(pa.date32())
    cases.write("created_dates", {"items": put(items, "created_at", dates)})
    cases.write("label_bool", {"interactions": put(log, "label", log["label"].cast(pa.bool_()))})
    cases.write("label_int64", {"interactions": put(log, "label", log["label"].cast(pa.int64()))})
    for kind in (pa.float32(), pa.string()):
        changed = put(log, "label", log["label"].cast(kind))
        cases.write(f"label_{kind}", {"interactions": changed}, ["interactions.parquet label type"])
    floats = put(log, "timestamp", log["timestamp"].cast(pa.float64()))
    cases.write("time_float", {"interactions": floats}, ["interactions.parquet timestamp type"])
    numbers = put(items, "item_id", pa.array(range(4), pa.int64()))
    cases.write("numeric_ids", {"items": numbers}, ["items.parquet item_id type"])
    binary = put(items, "item_id", items["item_id"].cast(pa.binary()))
    cases.write("binary_ids", {"items": binary}, ["items.parquet item_id type"])
    joined = put(items, "categories", ["a|b"] * 4)
    cases.write("joined_categories", {"items": joined}, ["items.parquet categories type"])
    available = put(items, "available", pa.array([True, False, None, True]))
    cases.write("available", {"items": put(put(available, "price", [1.5, 2.5, None, 4.0]), "stock", [1, 2, 3, 4])})
    cases.write("available_text", {"items": put(items, "available", ["no"] * 4)}, ["items.parquet available type"])
    cases.write("available_two", {"items": put(items, "available", [0, 1, 2, 1])}, ["items.parquet available flag"])


def values(cases: Cases) -> None:
    """Absent values, units, labels, order, several problems at once."""
    shop = tables()
    items, users, log = shop["items"], shop["users"], shop["interactions"]
    nothing = pa.nulls(4)
    blank = put(put(put(put(items, "text", nothing), "brand", nothing), "image", nothing), "created_at", nothing)
    cases.write("all_null", {"items": put(blank, "categories", nothing)})
    mixed = pa.array([["a", None], None, [], ["", "b"]], pa.list_(pa.string()))
    cases.write("blank_categories", {"items": put(items, "categories", mixed)})
    cases.write("blank_images", {"items": put(items, "image", ["", None, "", None])})
    images = put(items, "image", ["../out.jpg", "none.jpg", None, None])
    cases.write("wrong_images", {"items": images}, ["items.parquet image image"])
    for unit, scale in (("seconds", 0.001), ("micros", 1000), ("nanos", 1_000_000)):
        times = [int(value * scale) for value in log["timestamp"].to_pylist()]
        created = [int(value * scale) for value in items["created_at"].to_pylist()]
        changed = {"interactions": put(log, "timestamp", times), "items": put(items, "created_at", created)}
        cases.write(f"in_{unit}", changed, ["interactions.parquet timestamp unit", "items.parquet created_at unit"])
    places = {"interactions": put(log, "timestamp", list(range(8)))}
    cases.write("places_in_order", places, meta={"time": "order"})
    ratings = put(log, "label", pa.array([1, 2, 3, 4, 5, 1, 2, 3], pa.int8()))
    cases.write("ratings", {"interactions": ratings}, ["interactions.parquet label flag"])
    cases.write("matched", expected=["interactions.parquet label clicks"], meta={"negatives": "matched"})
    swapped = {"interactions": log.take([1, 0, 2, 3, 4, 5, 6, 7])}
    cases.write("unsorted", swapped, ["interactions.parquet timestamp order"])
    cases.write("unlisted_items", {"items": items.slice(0, 2)})
    cases.write("unlisted_users", {"users": users.slice(0, 0)})
    cases.write("no_log", {"interactions": log.slice(0, 0)})
    cases.write("positions", {"interactions": put(put(log, "position", list(range(8))), "request_id", ["r"] * 8)})
    negative = put(log, "position", [-1] * 8)
    cases.write("negative_positions", {"interactions": negative}, ["interactions.parquet position range"])
    long = put(items, "item_id", ["i1", "i2", "i3", "x" * 257])
    cases.write("long_id", {"items": long}, ["items.parquet item_id length"])
    strange = ["007", " 7", "a/b", "\u03a9"]
    ids = dict(zip(items["item_id"].to_pylist(), strange, strict=True))
    renamed = put(log, "item_id", [ids[value] for value in log["item_id"].to_pylist()])
    cases.write("strange_ids", {"items": put(items, "item_id", strange), "interactions": renamed})
    broken = put(put(items, "item_id", ["i1", None, "i1", ""]), "created_at", [1, 2, 3, 4])
    cases.write(
        "many_problems",
        {
            "items": broken,
            "users": put(users, "user_id", ["u1", "u1", "u2"]),
            "interactions": put(put(log, "label", pa.array([None, 2] * 4, pa.int8())), "user_id", [None, *["u1"] * 7]),
        },
        [
            "items.parquet item_id null",
            "items.parquet item_id repeated",
            "items.parquet item_id empty",
            "users.parquet user_id repeated",
            "interactions.parquet label null",
            "interactions.parquet label flag",
            "interactions.parquet user_id null",
        ],
    )
    cases.write("no_label", {"interactions": log.drop_columns(["label"])}, ["interactions.parquet label column"])
    cases.write("no_items_column", {"items": items.drop_columns(["text"])}, ["items.parquet text column"])
    out = cases.write("no_users", expected=["users.parquet  file"])
    (out / "users.parquet").unlink()
    out = cases.write("not_parquet", expected=["users.parquet  readable"])
    (out / "users.parquet").write_bytes(b"PAR1 no more")
    out = cases.write("byte_order_mark", expected=["dataset.json  readable"])
    meta = out / "dataset.json"
    meta.write_text("\ufeff" + meta.read_text(encoding="utf-8"), encoding="utf-8")


def main() -> None:
    """Write all."""
    shutil.rmtree(HERE, ignore_errors=True)
    cases = Cases()
    for make in (writers, types, values):
        make(cases)
    text = json.dumps(cases.expected, indent=1, sort_keys=True)
    (HERE / "cases.json").write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
