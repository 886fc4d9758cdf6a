"""Further columns of parquet tables as `RawColumn`s, of a table in memory or of a log a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugrank_training.data.mapped import Arrays
from plugrank_training.data.parquet_parts import batches_of, decoded, is_text, schemas_of
from plugrank_training.data.raw_column import EXACT, LONGEST, Numbers, RawColumn, Words

# What pandas calls the index of a frame.
PANDAS_INDEX = "__index_level_"
WORDS, NUMBERS = "words", "numbers"


def is_list(kind: pa.DataType) -> bool:
    """Whether a row of this type has several values."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def kind_of(name: str, kind: pa.DataType) -> str:
    """What a further column holds: `words` (text, bool), `numbers`, or nothing that can be a feature: empty."""
    if name.startswith(PANDAS_INDEX):
        return ""
    inner = kind.value_type if is_list(kind) else kind
    if is_text(inner) or pa.types.is_boolean(inner):
        return WORDS
    if pa.types.is_dictionary(inner):
        inner = inner.value_type
    return NUMBERS if pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner) else ""


def flat_of(array: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    """The values of a column and, of lists, the row that each is of."""
    if not is_list(array.type):
        return decoded(array), None
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    return decoded(pc.list_flatten(array)), parents.astype(np.int64)


def text_of(values: pa.Array) -> pa.Array:
    """Text of text, bools or whole numbers; null where empty."""
    text = values.cast(pa.large_string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.large_string()), text)


def numbers_of(values: pa.Array) -> np.ndarray:
    """f64, NaN where null."""
    found = values.cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(found, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def too_large(values: pa.Array) -> bool:
    """Whether whole numbers are beyond what f64 holds exactly: such are ids, and stay text."""
    if not pa.types.is_integer(values.type) or not len(values) or values.null_count == len(values):
        return False
    ends = pc.min_max(values).as_py()
    return max(abs(ends["min"]), abs(ends["max"])) > EXACT


def laid_out(values: np.ndarray, known: np.ndarray, parents: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Values in the shape of their column: `shape` is `(rows,)` or `(rows, width)`; absent is -1 or NaN."""
    absent = values.dtype.type(-1) if values.dtype.kind == "i" else values.dtype.type(np.nan)
    made = np.full(shape, absent, dtype=values.dtype)
    if parents is None:
        made[known] = values[known]
        return made
    rows, found = parents[known], values[known]
    # Parents ascend: a value's place is how far it stands behind its row's first.
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = place < shape[1]
    made[rows[kept], place[kept]] = found[kept]
    return made


@dataclass
class ColumnPlan:
    """What is known about a column after all of its rows were looked at."""

    kind: str
    lists: bool
    # Values of a row at most; 0 where no row has one.
    width: int = 0
    # Distinct words with their places, in the order in which they are met.
    words: dict[str, int] = field(default_factory=dict)

    def look(self, array: pa.Array) -> bool:
        """Take in some rows; false where whole numbers are too large to be numbers: plan the column anew as words."""
        values, parents = flat_of(array)
        if self.kind == NUMBERS and too_large(values):
            return False
        if self.kind == WORDS:
            values = text_of(values)
            for word in pc.unique(values).to_pylist():
                if word is not None:
                    self.words.setdefault(word, len(self.words))
        there = pc.is_valid(values).to_numpy(zero_copy_only=False)
        if self.kind == NUMBERS:
            there = ~np.isnan(numbers_of(values))
        if there.any():
            longest = 1 if parents is None else int(np.bincount(parents[there]).max())
            self.width = min(LONGEST, max(self.width, longest))
        return True

    def shape(self, rows: int) -> tuple[int, ...]:
        """Of the array that holds the column."""
        return (rows, max(1, self.width)) if self.lists else (rows,)

    def absent(self, rows: int) -> np.ndarray:
        """Rows without a value."""
        return np.full(self.shape(rows), -1 if self.kind == WORDS else np.nan, self.dtype)

    @property
    def dtype(self) -> type[np.generic]:
        """Of the array that holds the column."""
        return np.int32 if self.kind == WORDS else np.float64

    def values(self, array: pa.Array) -> np.ndarray:
        """Some rows: codes int32, -1 where absent, or numbers f64, NaN where absent."""
        flat, parents = flat_of(array)
        shape = self.shape(len(array))
        if self.kind == NUMBERS:
            numbers = numbers_of(flat)
            return laid_out(numbers, ~np.isnan(numbers), parents, shape)
        encoded = text_of(flat).dictionary_encode()
        places = np.array([self.words[word] for word in encoded.dictionary.to_pylist()] + [-1], dtype=np.int32)
        codes = places[pc.fill_null(encoded.indices, len(places) - 1).to_numpy(zero_copy_only=False)]
        return laid_out(codes, codes >= 0, parents, shape)

    def column(self, values: np.ndarray) -> RawColumn:
        """The column whose values these are."""
        return Words(values, list(self.words)) if self.kind == WORDS else Numbers(values)


def read_column(name: str, array: pa.Array) -> RawColumn | None:
    """A whole column in memory; None where it cannot be a feature or has no value."""
    kind = kind_of(name, array.type)
    if not kind:
        return None
    plan = ColumnPlan(kind, is_list(array.type))
    if not plan.look(array):
        plan = ColumnPlan(WORDS, is_list(array.type))
        plan.look(array)
    return plan.column(plan.values(array)) if plan.width else None


def not_finite(column: RawColumn) -> np.ndarray:
    """Which rows hold a number that f32 cannot, bool."""
    if isinstance(column, Words):
        return np.zeros(len(column), dtype=bool)
    with np.errstate(over="ignore"):
        wrong: np.ndarray = np.asarray(np.isinf(column.values.astype(np.float32)))
    return np.asarray(wrong.any(axis=1)) if column.lists else wrong


def array_names(plans: Mapping[str, ColumnPlan]) -> dict[str, str]:
    """Names of the columns' arrays: a column's own may be one that a file cannot have."""
    return {name: f"column_{number}" for number, name in enumerate(plans)}


def shapes_of(plans: Mapping[str, ColumnPlan], rows: int) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
    """Arrays that hold the columns of a log."""
    names = array_names(plans)
    return {names[name]: (plan.shape(rows), plan.dtype) for name, plan in plans.items()}


def columns_of(plans: Mapping[str, ColumnPlan], arrays: Arrays) -> dict[str, RawColumn]:
    """The columns of a log, whose arrays these are."""
    names = array_names(plans)
    return {name: plan.column(arrays[names[name]]) for name, plan in plans.items()}


def plan_log(path: Path, is_known: Callable[[str], bool], rows: int) -> dict[str, ColumnPlan]:
    """What the further columns of a log are, by one pass over them; those without a value are left out.

    Raises `DatasetError` where the log cannot be read.
    """
    types = {field.name: field.type for field in schemas_of(path)[0] if not is_known(field.name)}
    plans = {name: ColumnPlan(kind_of(name, kind), is_list(kind)) for name, kind in types.items()}
    plans = {name: plan for name, plan in plans.items() if plan.kind}
    if not plans:
        return {}
    for batch in batches_of(path, tuple(plans), rows):
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if not plans[name].look(array):
                # Ids, after all: from the start, as words.
                plans[name] = ColumnPlan(WORDS, plans[name].lists)
                for earlier in batches_of(path, (name,), rows):
                    plans[name].look(earlier.column(0))
    return {name: plan for name, plan in plans.items() if plan.width}
