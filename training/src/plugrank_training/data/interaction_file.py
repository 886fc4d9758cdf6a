"""`interactions.parquet`, read a piece at a time: ids become rows at once, so the text of a large log is never held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.parquet_table import ParquetTable

COLUMNS = ("user_id", "item_id", "timestamp", "label")
# Rows of a piece.
PIECE = 1 << 17


def pieces(path: Path, columns: tuple[str, ...] = COLUMNS) -> Iterator[ParquetTable]:
    """A file's rows in order, as tables whose errors name rows of the whole file. Raises `DatasetError`."""
    if not path.is_file():
        raise DatasetError.at(path, "the file is missing; docs/dataset-format.md says what a folder must hold")
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            names = file.schema_arrow.names
            whole = ParquetTable.of(path, file.schema_arrow.empty_table(), 0)
            whole.require(columns)
            first = 0
            for batch in file.iter_batches(batch_size=PIECE, columns=[n for n in names if n in columns]):
                yield ParquetTable.of(path, pa.Table.from_batches([batch]), first)
                first += batch.num_rows
            if not first:
                yield whole
    except (pa.ArrowException, OSError) as error:
        raise DatasetError.at(path, f"cannot be read as parquet: {error}") from error


def count_rows(path: Path) -> int:
    """Rows of a file, by its footer. Raises `DatasetError`."""
    if not path.is_file():
        raise DatasetError.at(path, "the file is missing; docs/dataset-format.md says what a folder must hold")
    try:
        with pq.ParquetFile(path) as file:
            rows: int = file.metadata.num_rows
            return rows
    except (pa.ArrowException, OSError) as error:
        raise DatasetError.at(path, f"cannot be read as parquet: {error}") from error
