"""`interactions.parquet`, read a piece at a time: ids become rows at once, so the text of a large log is never held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.parquet_parts import batches_of, schemas_of
from plugrank_training.data.parquet_table import ParquetTable
from plugrank_training.data.problems import Problems

COLUMNS = ("user_id", "item_id", "timestamp", "label", "request_id", "position")
# Other columns that are no features of a request.
KNOWN = (*COLUMNS, "action", "value", "surface", "arm", "propensity")
# Of these, what histories hold beside item, time and label.
PAST = ("action", "value")
# Before the name of a further task: its label.
TASK = "label_"
# Rows of a piece.
PIECE = 1 << 17


def pieces(path: Path, problems: Problems, columns: tuple[str, ...] = COLUMNS) -> Iterator[ParquetTable]:
    """A table's rows in order, as tables whose problems name rows of the whole; one without rows where it is empty.

    Raises `DatasetError` where it cannot be read.
    """
    first = 0
    for batch in batches_of(path, columns, PIECE):
        yield ParquetTable.of(path, pa.Table.from_batches([batch]), first, problems)
        first += batch.num_rows
    if not first:
        yield ParquetTable.of(path, schemas_of(path)[0].empty_table(), 0, problems)


def is_known(name: str) -> bool:
    """Whether a column has a meaning of its own, and is no feature."""
    return name in KNOWN or name.startswith(TASK)


def task_columns(path: Path) -> list[str]:
    """Columns with the labels of further tasks. Raises `DatasetError` where the log cannot be read."""
    return [name for name in schemas_of(path)[0].names if name.startswith(TASK) and name != TASK]


def distinct_ids(path: Path, column: str) -> set[str]:
    """Every id that a log's column holds; nothing where the column is not of strings."""
    found: set[str] = set()
    try:
        for batch in batches_of(path, (column,), PIECE):
            if batch.num_columns:
                values = ParquetTable.of(path, pa.Table.from_batches([batch]), 0, Problems()).text_array(column)
                found.update(value for value in pc.unique(values).to_pylist() if value)
    except DatasetError:
        # Told where the log itself is read.
        return set()
    return found
