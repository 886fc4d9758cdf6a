"""Columns of a parquet table, checked as they are read.

What is wrong is remembered in `Problems`; a getter then gives something of the right shape, so that the rest of the
folder can be checked too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugrank_training.data.parquet_parts import is_text, plain, read_whole
from plugrank_training.data.problems import Problems
from plugrank_training.data.raw_column import RawColumn
from plugrank_training.data.raw_reader import ColumnPlan, not_finite, numbers_of, read_column

# Bytes of an id at most.
ID_BYTES = 256
# Milliseconds from 1980 to 2100; what whole numbers of other units look like follows from it.
PLAUSIBLE_MS = (315_532_800_000, 4_102_444_800_000)
# Rows that a unit is judged by.
SAMPLE = 8192
UNITS = {"seconds": 1e-3, "microseconds": 1e3, "nanoseconds": 1e6}


class ParquetTable:
    """One table in memory."""

    def __init__(self, path: Path, problems: Problems | None = None) -> None:
        """Read it. Raises `DatasetError` where it cannot be read at all."""
        self.take(path, read_whole(path), 0, problems)

    @classmethod
    def of(cls, path: Path, table: pa.Table, first: int, problems: Problems | None = None) -> ParquetTable:
        """Some rows of a table, from row `first` on."""
        made = cls.__new__(cls)
        made.take(path, plain(table), first, problems)
        return made

    def take(self, path: Path, table: pa.Table, first: int, problems: Problems | None) -> None:
        """Take over the columns."""
        self.path, self.first = path, first
        self.problems = Problems() if problems is None else problems
        # Without a list to put problems on, each is raised.
        self.raises = problems is None
        self.rows: int = table.num_rows
        self.columns: dict[str, pa.Array] = {}
        for place, name in enumerate(table.column_names):
            if name in self.columns:
                self.fault("duplicate", name, "there are several columns of this name; keep one")
            self.columns[name] = table.column(place).combine_chunks()

    def fault(self, rule: str, column: str, message: str, rows: np.ndarray | None = None) -> None:
        """Remember a problem; `rows` is true where a row has it, None where it is the whole column."""
        places = [] if rows is None else (np.flatnonzero(rows) + self.first).tolist()
        self.problems.add(self.path, rule, message, column=column, rows=places)
        if self.raises:
            self.problems.raise_if_any()

    def has(self, name: str) -> bool:
        """Whether a column is there; a problem where it is not."""
        if name in self.columns:
            return True
        self.fault("column", name, f"the column is missing; found: {', '.join(self.columns) or 'none'}")
        return False

    def is_absent(self, name: str) -> bool:
        """Whether a column is not there or has no value in any row."""
        column = self.columns.get(name)
        return column is None or column.null_count == len(column)

    def text_array(self, name: str) -> pa.Array:
        """A column of strings, nulls allowed."""
        nothing = pa.nulls(self.rows, pa.large_string())
        column = self.columns.get(name, nothing)
        if pa.types.is_null(column.type):
            return nothing
        if not is_text(column.type):
            self.fault("type", name, f"must be of type string, not {column.type}")
            return nothing
        return column

    def texts(self, name: str) -> list[str]:
        """Strings; null becomes the empty string, which means absent."""
        return [value or "" for value in self.text_array(name).to_pylist()]

    def optional_texts(self, name: str) -> list[str | None]:
        """Strings or None; None too where the column is absent or the string empty."""
        return [value or None for value in self.text_array(name).to_pylist()]

    def ids(self, name: str) -> pa.Array:
        """Strings that are neither null nor empty nor too long; the empty string in place of those that are."""
        if not self.has(name):
            return pa.array([""] * self.rows, pa.large_string())
        column = self.text_array(name)
        known = column if name not in self.columns or is_text(self.columns[name].type) else None
        missing = flags(pc.is_null(column))
        if missing.any() and (known is not None or pa.types.is_null(self.columns[name].type)):
            self.fault("null", name, "null, but a value is needed in every row", missing)
        column = pc.fill_null(column, "")
        length = pc.binary_length(column).to_numpy(zero_copy_only=False)
        empty = (length == 0) & ~missing
        if empty.any():
            self.fault("empty", name, "an id may not be empty", empty)
        long = length > ID_BYTES
        if long.any():
            self.fault("length", name, f"an id may have at most {ID_BYTES} bytes", long)
        return column

    def unique_ids(self, name: str) -> list[str]:
        """Ids of which none occurs twice."""
        found: list[str] = self.ids(name).to_pylist()
        if len(set(found)) != len(found):
            seen: dict[str, int] = {}
            repeated = np.zeros(len(found), dtype=bool)
            for row, value in enumerate(found):
                repeated[row] = bool(value) and seen.setdefault(value, row) != row
            if repeated.any():
                row = int(np.argmax(repeated))
                text = f"`{found[row]}` already stands in row {self.first + seen[found[row]]}"
                self.fault("repeated", name, text, repeated)
        return found

    def text_lists(self, name: str) -> list[list[str]]:
        """Lists of strings; a null list is empty, null and empty strings within are left out."""
        column = self.columns.get(name)
        if column is None or pa.types.is_null(column.type):
            return [[] for _ in range(self.rows)]
        kind = column.type
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not lists or not (is_text(kind.value_type) or pa.types.is_null(kind.value_type)):
            self.fault("type", name, f"must be of type list of string, not {kind}")
            return [[] for _ in range(self.rows)]
        return [[value for value in values or [] if value] for values in column.to_pylist()]

    def whole_numbers(self, name: str, other: str = "") -> pa.Array | None:
        """A column of whole numbers as int64, nulls allowed; None for another; `other` names what else it may be."""
        column = self.columns[name]
        if pa.types.is_null(column.type):
            return column.cast(pa.int64())
        if not pa.types.is_integer(column.type):
            self.fault("type", name, f"must be of an integer type{other}, not {column.type}")
            return None
        # Only unsigned 64-bit numbers can be too large.
        return column.cast(pa.int64(), safe=not pa.types.is_uint64(column.type))

    def flag_numbers(self, name: str) -> pa.Array | None:
        """A column of booleans, or of 0 and 1, as int64."""
        if pa.types.is_boolean(self.columns[name].type):
            return self.columns[name].cast(pa.int64())
        return self.whole_numbers(name, " or bool")

    def labels(self, name: str, clicks_only: bool) -> np.ndarray:
        """0 or 1, int8, without nulls; only 1 where only clicks were recorded."""
        found = self.flag_numbers(name) if self.has(name) else None
        if found is None:
            return np.ones(self.rows, dtype=np.int8)
        values = self.filled(name, found)
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            self.fault("flag", name, f"{values[np.argmax(wrong)]} is neither 0 nor 1", wrong)
        refused = (values == 0) & ~flags(pc.is_null(found))
        if clicks_only and refused.any():
            self.fault(
                "clicks", name, '0, but dataset.json says "negatives": "matched", only clicks were recorded', refused
            )
        return (values == 1).astype(np.int8)

    def task_labels(self, name: str) -> np.ndarray:
        """0 or 1 of a further task, -1 where it is null, int8."""
        array = self.columns.get(name)
        if array is None:
            return np.full(self.rows, -1, dtype=np.int8)
        # A float is what pandas makes of whole numbers with nulls among them.
        if not (pa.types.is_boolean(array.type) or pa.types.is_floating(array.type)):
            array = self.whole_numbers(name, " or bool")
        values = np.full(self.rows, np.nan) if array is None else numbers_of(array)
        wrong = (values != 0) & (values != 1) & ~np.isnan(values)
        if wrong.any():
            self.fault("flag", name, f"{values[np.argmax(wrong)]:g} is neither 0 nor 1", wrong)
        return np.where(np.isnan(values) | wrong, -1, values).astype(np.int8)

    def check_flags(self, name: str) -> None:
        """A column that may be absent must hold true, false and nulls."""
        if name not in self.columns:
            return
        found = self.flag_numbers(name)
        if found is None:
            return
        values = pc.fill_null(found, 0).to_numpy(zero_copy_only=False)
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            self.fault("flag", name, f"{values[np.argmax(wrong)]} is neither 0 nor 1", wrong)

    def check_positions(self, name: str) -> None:
        """A column that may be absent must hold whole numbers from 0 and nulls."""
        found = self.whole_numbers(name) if name in self.columns else None
        if found is None:
            return
        values = pc.fill_null(found, 0).to_numpy(zero_copy_only=False)
        wrong = (values < 0) | (values > np.iinfo(np.uint32).max)
        if wrong.any():
            self.fault("range", name, f"{values[np.argmax(wrong)]} is no position; they count from 0", wrong)

    def times(self, name: str, milliseconds: bool, absent: int | None = None) -> np.ndarray:
        """Milliseconds, int64, of whole numbers, timestamps of any unit or dates.

        `absent` stands for nulls and an absent column; None where every row needs a value. Where times are
        `milliseconds`, whole numbers that can only be of another unit are a problem.
        """
        if absent is not None and name not in self.columns:
            return np.full(self.rows, absent, dtype=np.int64)
        found = self.time_numbers(name) if self.has(name) else None
        if found is None:
            return np.zeros(self.rows, dtype=np.int64)
        if absent is None:
            values = self.filled(name, found)
        else:
            values = pc.fill_null(found, absent).to_numpy(zero_copy_only=False)
        if milliseconds and self.first == 0 and pa.types.is_integer(self.columns[name].type):
            self.check_unit(name, values[:SAMPLE], ~flags(pc.is_null(found))[:SAMPLE])
        return np.array(values, dtype=np.int64)

    def time_numbers(self, name: str) -> pa.Array | None:
        """A column of times as int64, milliseconds where it has a unit; None where it is none."""
        column = self.columns[name]
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        if pa.types.is_date(column.type):
            return column.cast(pa.timestamp("ms")).cast(pa.int64())
        return self.whole_numbers(name, " or a timestamp")

    def check_unit(self, name: str, values: np.ndarray, known: np.ndarray) -> None:
        """A problem where all of the first whole numbers are plausible as another unit only."""
        low, high = PLAUSIBLE_MS
        first = np.arange(len(values)) == 0
        for unit, scale in UNITS.items():
            other = (values >= low * scale) & (values < high * scale)
            if known.any() and other[known].all():
                text = f"all values look like {unit}, such as {values[known][0]}"
                more = "a whole number is milliseconds since 1970, or write a timestamp column"
                self.fault("unit", name, f"{text}; {more}", first)

    def shares(self, name: str) -> np.ndarray:
        """Floats from 0 to 1 without nulls, float32."""
        if not self.has(name):
            return np.zeros(self.rows, dtype=np.float32)
        column = self.columns[name]
        if not pa.types.is_float32(column.type) and not pa.types.is_float64(column.type):
            self.fault("type", name, f"must be of a float type, not {column.type}")
            return np.zeros(self.rows, dtype=np.float32)
        values = self.filled(name, column)
        outside = ~((values >= 0) & (values <= 1))
        if outside.any():
            self.fault("range", name, f"{values[np.argmax(outside)]} is not between 0 and 1", outside)
        return np.ascontiguousarray(values, dtype=np.float32)

    def filled(self, name: str, column: pa.Array) -> np.ndarray:
        """Numbers, a null being a problem, and 0."""
        missing = flags(pc.is_null(column))
        if missing.any():
            self.fault("null", name, "null, but a value is needed in every row", missing)
        filled = pc.fill_null(column, pa.scalar(0, column.type))
        values: np.ndarray = filled.to_numpy(zero_copy_only=False)
        return values

    def places(self, name: str, ids: pa.Array, home: str) -> np.ndarray:
        """Row of each id of a column within `ids`, which come from the file `home`, int32."""
        column = self.ids(name)
        found = pc.index_in(column, value_set=ids)
        unlisted = flags(pc.and_(pc.is_null(found), pc.not_equal(column, "")))
        if unlisted.any():
            self.fault("unlisted", name, f"`{column[int(np.argmax(unlisted))]}` is not in {home}", unlisted)
        values: np.ndarray = pc.fill_null(found, 0).to_numpy(zero_copy_only=False)
        return np.ascontiguousarray(values, dtype=np.int32)

    def further_columns(self, known: Iterable[str]) -> dict[str, RawColumn]:
        """Every further column with a value that can be a feature; a number that is not finite is a problem."""
        skip = set(known)
        made = {}
        for name, array in self.columns.items():
            column = None if name in skip else read_column(name, array)
            if column is not None:
                self.check_finite(name, not_finite(column))
                made[name] = column
        return made

    def planned(self, name: str, plan: ColumnPlan) -> np.ndarray:
        """Values of a further column of a log, as `plan` lays them out; absent where these rows lack it."""
        array = self.columns.get(name)
        if array is None or pa.types.is_null(array.type):
            return plan.absent(self.rows)
        found = plan.values(array)
        self.check_finite(name, not_finite(plan.column(found)))
        return found

    def check_finite(self, name: str, wrong: np.ndarray) -> None:
        """A problem where a number cannot be read as f32."""
        if wrong.any():
            self.fault("range", name, "a number is infinite or beyond 3.4e38, which f32 holds at most", wrong)


def flags(array: pa.Array) -> np.ndarray:
    """Booleans of an array without nulls."""
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values
