"""Rows of csv, tsv, parquet and JSON-lines files as columns of text, numbers and times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.json as pc_json

from plugrank_training.data.adapters.log_map import Files, Time
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.parquet_parts import is_text, read_whole

ENDINGS = {".csv": "csv", ".tsv": "tsv", ".txt": "tsv", ".parquet": "parquet", ".jsonl": "jsonl", ".json": "jsonl"}
MILLISECONDS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
# Between the parts of an id that is made of several columns.
JOINED = "|"


def read_files(source: Files, home: Path) -> pa.Table:
    """All files, one after another. Raises `DatasetError`."""
    paths = [path for pattern in source.files for path in found_by(pattern, home)]
    tables = [read_file(path, source) for path in paths]
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise DatasetError(f"{', '.join(source.files)}: the files do not have the same columns: {error}") from error


def found_by(pattern: str, home: Path) -> list[Path]:
    """Files of a name or a pattern, in the order of their names. Raises `DatasetError` where there is none."""
    path = home / pattern
    if path.exists():
        return [path]
    found = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor) if path.anchor else path)))
    if not found:
        raise DatasetError(f"{path}: there is no such file")
    return found


def read_file(path: Path, source: Files) -> pa.Table:
    """One file. Columns of csv and tsv are text: what they are is the map's to say. Raises `DatasetError`."""
    kind = source.format or ENDINGS.get(Path(path.name.removesuffix(".gz")).suffix, "")
    try:
        if kind == "parquet":
            return read_whole(path)
        if kind == "jsonl":
            return pc_json.read_json(path)
        if kind in ("csv", "tsv"):
            return read_csv(path, source, source.separator or ("," if kind == "csv" else "\t"))
    except (pa.ArrowException, OSError) as error:
        raise DatasetError.at(path, f"cannot be read as {kind}: {error}") from error
    raise DatasetError.at(path, "what it is cannot be told by its name; say `format`: csv, tsv, parquet or jsonl")


def read_csv(path: Path, source: Files, separator: str) -> pa.Table:
    """A csv or tsv file, every column as text, empty ones as null."""
    names = list(source.names) or header(path, separator)
    return pc_csv.read_csv(
        path,
        read_options=pc_csv.ReadOptions(column_names=names, skip_rows=0 if source.names else 1),
        parse_options=pc_csv.ParseOptions(delimiter=separator, newlines_in_values=separator == ","),
        convert_options=pc_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def header(path: Path, separator: str) -> list[str]:
    """The names in a file's first line."""
    with pc_csv.open_csv(path, parse_options=pc_csv.ParseOptions(delimiter=separator)) as reader:
        return [name.removeprefix("\ufeff") for name in reader.schema.names]


def column(table: pa.Table, name: str, key: str) -> pa.Array:
    """A column. Raises `DatasetError` that names the map's key."""
    if name not in table.column_names:
        raise DatasetError(f"`{key}`: there is no column `{name}`; there are {', '.join(table.column_names)}")
    found = table.column(name)
    joined = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return joined.cast(joined.type.value_type) if pa.types.is_dictionary(joined.type) else joined


def as_text(values: pa.Array) -> pa.Array:
    """Text; whole numbers as decimals, whole floats without their point; null where empty."""
    if pa.types.is_floating(values.type):
        whole = pc.equal(pc.floor(values), values)
        numbers = pc.if_else(pc.fill_null(whole, False), values, None).cast(pa.int64(), safe=False).cast(pa.string())
        values = pc.coalesce(numbers, values.cast(pa.string()))
    elif not is_text(values.type):
        values = values.cast(pa.string())
    text = values.cast(pa.string())
    return pc.if_else(pc.equal(text, ""), None, text)


def joined_text(table: pa.Table, names: Sequence[str], key: str) -> pa.Array:
    """Several columns as one text, null where any of them is."""
    parts = [as_text(column(table, name, key)) for name in names]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, JOINED)


def numbers(values: pa.Array) -> np.ndarray:
    """Float64, NaN where a value is absent or no number."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if is_text(values.type):
        text = pc.utf8_trim_whitespace(values.cast(pa.string()))
        is_number = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
        values = pc.if_else(is_number, text, None)
    found: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def milliseconds(table: pa.Table, time: Time, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Times int64 `[n]`, and where there is one, bool `[n]`. Raises `DatasetError`."""
    values = column(table, time.column, key)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(values.type):
        made = values.cast(pa.timestamp("ms", values.type.tz), safe=False).cast(pa.int64())
    elif is_text(values.type) and (time.format or not looks_numeric(values)):
        made = parsed(values, time, key)
    elif pa.types.is_integer(values.type) and time.unit in ("ms", "s"):
        # Exactly: a float holds no more than 53 bits.
        made = pc.multiply_checked(values.cast(pa.int64()), int(MILLISECONDS[time.unit]))
    else:
        found = numbers(values)
        there = np.isfinite(found)
        return np.floor(np.where(there, found, 0) * MILLISECONDS[time.unit]).astype(np.int64), there
    there = pc.is_valid(made).to_numpy(zero_copy_only=False)
    return pc.fill_null(made, 0).to_numpy(zero_copy_only=False), there


def looks_numeric(values: pa.Array) -> bool:
    """Whether the first texts are numbers."""
    return bool(np.isfinite(numbers(values.drop_null()[:100])).all())


def parsed(values: pa.Array, time: Time, key: str) -> pa.Array:
    """Text as milliseconds since 1970, null where it is no time."""
    text = values.cast(pa.string())
    if time.format:
        naive = pc.strptime(text, format=time.format, unit="ms", error_is_null=True)
    else:
        cut = pc.replace_substring_regex(text, r"(\.\d{1,6})\d*", r"\1")
        iso = pc.match_substring_regex(cut, r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$")
        known = pc.if_else(iso, cut, None)
        zoned = pc.match_substring_regex(pc.fill_null(known, ""), r"(Z|[+-]\d\d:?\d\d)$")
        in_zone = pc.if_else(zoned, known, None).cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
        plain = pc.if_else(zoned, None, known).cast(pa.timestamp("ms"), safe=False)
        return pc.coalesce(in_zone, of_zone(plain, time, key))
    return of_zone(naive, time, key)


def of_zone(naive: pa.Array, time: Time, key: str) -> pa.Array:
    """Wall-clock times of a zone as milliseconds since 1970."""
    try:
        zoned = pc.assume_timezone(naive, time.timezone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowException as error:
        raise DatasetError(f"`{key}.timezone`: {error}") from error
    return zoned.cast(pa.int64())
