"""The parquet files that a table is made of: one file, or a folder of parts as Spark writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from plugrank_training.data.dataset_error import DatasetError

MISSING = "the file is missing; docs/dataset-format.md says what a folder must hold"


def parts_of(path: Path) -> list[Path]:
    """A file, or every `*.parquet` of a folder in the order of their names. Raises `DatasetError`."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DatasetError.at(path, MISSING)
    found = []
    for entry in sorted(path.iterdir()):
        if entry.is_dir() and "=" in entry.name:
            raise DatasetError.at(path, f"`{entry.name}` is a partition; write the column into the files")
        if entry.name.endswith(".parquet") and not entry.name.startswith(("_", ".")):
            found.append(entry)
    if not found:
        raise DatasetError.at(path, "a folder without a file named `*.parquet`")
    return found


def schemas_of(path: Path) -> list[pa.Schema]:
    """Columns of every part. Raises `DatasetError`."""
    return [read_part(part, lambda file: file.schema_arrow) for part in parts_of(path)]


def count_rows(path: Path) -> int:
    """Rows of a table, by its footers. Raises `DatasetError`."""
    return sum(read_part(part, lambda file: int(file.metadata.num_rows)) for part in parts_of(path))


def read_part(part, read):  # type: ignore[no-untyped-def]
    """What `read` makes of an opened file. Raises `DatasetError`."""
    try:
        with pq.ParquetFile(part, pre_buffer=False) as file:
            return read(file)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError.at(part, f"cannot be read as parquet: {error}") from error


def batches_of(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Those of the columns that are there, at most `rows` rows at a time. Raises `DatasetError`."""
    for part in parts_of(path):
        try:
            with pq.ParquetFile(part, pre_buffer=False) as file:
                there = [name for name in file.schema_arrow.names if name in columns]
                yield from file.iter_batches(batch_size=rows, columns=there)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError.at(part, f"cannot be read as parquet: {error}") from error


def read_whole(path: Path) -> pa.Table:
    """A table in memory; a column that a part lacks is null there. Raises `DatasetError`."""
    tables = [read_part(part, lambda file: plain(file.read())) for part in parts_of(path)]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DatasetError.at(path, f"its parts do not have the same columns: {error}") from error


def plain(table: pa.Table) -> pa.Table:
    """Dictionary columns, and string types other than `string`, as plain ones."""
    columns = [decoded(table.column(place)) for place in range(table.num_columns)]
    return pa.Table.from_arrays(columns, names=table.column_names)


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without a dictionary; strings of whatever width as `large_string`."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if is_text(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are strings."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
