"""Columns of a parquet file, checked as they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plugrank_training.data.dataset_error import DatasetError


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are strings."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


class ParquetTable:
    """One parquet file in memory; every getter names file, column and row where a value is not what it should be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DatasetError.at(path, "the file is missing; docs/dataset-format.md says what a folder must hold")
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DatasetError.at(path, f"cannot be read as parquet: {error}") from error
        self.take(table, 0)

    @classmethod
    def of(cls, path: Path, table: pa.Table, first: int) -> ParquetTable:
        """Some rows of a file, from row `first` on."""
        made = cls.__new__(cls)
        made.path = path
        made.take(table, first)
        return made

    def take(self, table: pa.Table, first: int) -> None:
        """Take over the columns."""
        self.first = first
        self.columns: dict[str, pa.Array] = {}
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            self.columns[name] = column
        self.rows: int = table.num_rows

    def require(self, names: Iterable[str]) -> None:
        """Raise where a column is absent."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            found = ", ".join(self.columns) or "none"
            raise DatasetError.at(self.path, f"column(s) {', '.join(absent)} missing; found: {found}")

    def text_array(self, name: str) -> pa.Array:
        """A column of strings, nulls allowed."""
        self.require([name])
        column = self.columns[name]
        if not is_text(column.type):
            raise self.error(name, f"must be of type string, not {column.type}")
        return column

    def texts(self, name: str) -> list[str]:
        """Strings; null becomes the empty string, which means absent."""
        return [value or "" for value in self.text_array(name).to_pylist()]

    def optional_texts(self, name: str) -> list[str | None]:
        """Strings or None; None too where the column is absent or the string empty."""
        if name not in self.columns:
            return [None] * self.rows
        return [value or None for value in self.text_array(name).to_pylist()]

    def ids(self, name: str) -> pa.Array:
        """Strings that are neither null nor empty."""
        column = self.text_array(name)
        self.no_nulls(name)
        empty = pc.equal(pc.binary_length(column), 0)
        if pc.any(empty).as_py():
            raise self.error(name, "an id may not be empty", first_true(empty))
        return column

    def unique_ids(self, name: str) -> list[str]:
        """Ids of which none occurs twice."""
        found: list[str] = self.ids(name).to_pylist()
        if len(set(found)) != len(found):
            seen: dict[str, int] = {}
            for row, value in enumerate(found):
                if value in seen:
                    raise self.error(name, f"`{value}` already stands in row {seen[value]}", row)
                seen[value] = row
        return found

    def text_lists(self, name: str) -> list[list[str]]:
        """Lists of strings; a null list is empty, null and empty strings within are left out."""
        self.require([name])
        kind = self.columns[name].type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not is_text(kind.value_type):
            raise self.error(name, f"must be of type list of string, not {kind}")
        return [[value for value in values or [] if value] for values in self.columns[name].to_pylist()]

    def integers(self, name: str, kind: type[np.signedinteger]) -> np.ndarray:
        """Whole numbers without nulls, as `kind`."""
        self.require([name])
        column = self.columns[name]
        if not pa.types.is_integer(column.type):
            raise self.error(name, f"must be of an integer type, not {column.type}")
        self.no_nulls(name)
        values = column.to_numpy(zero_copy_only=False)
        limits = np.iinfo(kind)
        outside = (values < limits.min) | (values > limits.max)
        if outside.any():
            row = int(np.argmax(outside))
            raise self.error(name, f"{values[row]} does not fit into {np.dtype(kind).name}", row)
        return np.ascontiguousarray(values, dtype=kind)

    def optional_integers(self, name: str, absent: int) -> np.ndarray:
        """Whole numbers, int64, `absent` in place of nulls, and everywhere where the column is absent."""
        if name not in self.columns:
            return np.full(self.rows, absent, dtype=np.int64)
        column = self.columns[name]
        if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
            raise self.error(name, f"must be of an integer type, not {column.type}")
        filled = pc.fill_null(column.cast(pa.int64()), pa.scalar(absent, pa.int64()))
        return np.array(filled.to_numpy(zero_copy_only=False), dtype=np.int64)

    def shares(self, name: str) -> np.ndarray:
        """Floats from 0 to 1 without nulls, float32."""
        self.require([name])
        column = self.columns[name]
        if not pa.types.is_floating(column.type):
            raise self.error(name, f"must be of a float type, not {column.type}")
        self.no_nulls(name)
        values = column.to_numpy(zero_copy_only=False)
        outside = ~((values >= 0) & (values <= 1))
        if outside.any():
            row = int(np.argmax(outside))
            raise self.error(name, f"{values[row]} is not between 0 and 1", row)
        return np.ascontiguousarray(values, dtype=np.float32)

    def places(self, name: str, ids: list[str], home: str) -> np.ndarray:
        """Row of each id of a column within `ids`, int32; `home` is the file that `ids` come from."""
        column = self.ids(name)
        if not ids:
            if self.rows:
                raise self.error(name, f"`{column[0]}` is not in {home}, which is empty", 0)
            return np.zeros(0, dtype=np.int32)
        found = pc.index_in(column, value_set=pa.array(ids, type=column.type))
        if found.null_count:
            row = first_true(pc.is_null(found))
            raise self.error(name, f"`{column[row]}` is not in {home}", row)
        return np.ascontiguousarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)

    def feature_columns(self, known: Iterable[str]) -> dict[str, list[str]]:
        """Every further column of strings: a categorical feature; the empty string means absent."""
        skip = set(known)
        return {
            name: self.texts(name) for name, column in self.columns.items() if name not in skip and is_text(column.type)
        }

    def no_nulls(self, name: str) -> None:
        """Raise at the first null."""
        column = self.columns[name]
        if column.null_count:
            raise self.error(name, "null, but a value is needed in every row", first_true(pc.is_null(column)))

    def error(self, column: str, problem: str, row: int | None = None) -> DatasetError:
        """An error in this file."""
        return DatasetError.at(self.path, problem, column=column, row=None if row is None else self.first + row)


def first_true(flags: pa.Array) -> int:
    """Place of the first true value."""
    place: int = pc.index(flags, True).as_py()
    return place
