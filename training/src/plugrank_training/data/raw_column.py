"""Further columns of a table as they were read, before a feature is made of them: words or numbers, one a row or lists.

What they become depends on the configuration and on the training rows, which reading does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import numpy as np

# Entries of a list that are kept.
LONGEST = 128
# Whole numbers up to here are exact as f64.
EXACT = 1 << 53
Rows = np.ndarray | slice
Values = str | Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Words:
    """Text, of whatever few or many distinct values."""

    # Places in `words`, -1 where there is none: int32 [rows], or [rows, width] of lists.
    codes: np.ndarray
    words: list[str]

    @classmethod
    def of(cls, rows: Sequence[Values]) -> Words:
        """From texts or lists of texts; None and the empty string are no value."""
        places: dict[str, int] = {}
        if not any(row is not None and not isinstance(row, str) for row in rows):
            codes = [places.setdefault(row, len(places)) if isinstance(row, str) and row else -1 for row in rows]
            return cls(np.array(codes, dtype=np.int32), list(places))
        lists = [[row] if isinstance(row, str) else list(row or ()) for row in rows]
        width = min(LONGEST, max(1, *(len(row) for row in lists)))
        table = np.full((len(lists), width), -1, dtype=np.int32)
        for number, row in enumerate(lists):
            kept = [places.setdefault(value, len(places)) for value in row if value][:width]
            table[number, : len(kept)] = kept
        return cls(table, list(places))

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def lists(self) -> bool:
        """Whether a row has several values."""
        return self.codes.ndim > 1

    def longer(self, more: int) -> Words:
        """With `more` rows that have no value."""
        return Words(np.concatenate([self.codes, np.full((more, *self.codes.shape[1:]), -1, np.int32)]), self.words)

    def missing(self, rows: Rows = slice(None)) -> np.ndarray:
        """Which rows have no value, bool."""
        absent: np.ndarray = np.less(self.codes[rows], 0)
        return np.asarray(absent.all(axis=1)) if self.lists else absent

    def lengths(self, rows: Rows = slice(None)) -> np.ndarray:
        """How many values each row has, int64."""
        return (self.codes[rows].reshape(-1, self.width) >= 0).sum(axis=1)

    @property
    def width(self) -> int:
        """Values of a row at most."""
        return self.codes.shape[1] if self.lists else 1

    def counts(self, rows: Rows = slice(None)) -> np.ndarray:
        """How often each word occurs in rows, int64 `[words]`."""
        codes = self.codes[rows].ravel()
        return np.bincount(codes[codes >= 0], minlength=len(self.words))

    def texts(self) -> list[str]:
        """The text of every row, empty where it has none; of lists, with commas between."""
        rows = self.codes.reshape(-1, self.width).tolist()
        return [",".join(self.words[code] for code in row if code >= 0) for row in rows]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers, whole or not."""

    # NaN where there is none: f64 [rows], or [rows, width] of lists.
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lists(self) -> bool:
        """Whether a row has several values."""
        return self.values.ndim > 1

    @property
    def width(self) -> int:
        """Values of a row at most."""
        return self.values.shape[1] if self.lists else 1

    def longer(self, more: int) -> Numbers:
        """With `more` rows that have no value."""
        return Numbers(np.concatenate([self.values, np.full((more, *self.values.shape[1:]), np.nan)]))

    def missing(self, rows: Rows = slice(None)) -> np.ndarray:
        """Which rows have no value, bool."""
        absent = np.isnan(self.values[rows])
        return absent.all(axis=1) if self.lists else absent

    def lengths(self, rows: Rows = slice(None)) -> np.ndarray:
        """How many values each row has, int64."""
        return (~np.isnan(self.values[rows].reshape(-1, self.width))).sum(axis=1)

    def known(self, rows: Rows = slice(None)) -> np.ndarray:
        """All values of rows, f64, in no shape."""
        found = self.values[rows].ravel()
        return found[~np.isnan(found)]

    @cached_property
    def as_words(self) -> Words:
        """The same as decimal text: `3` for 3.0, else the shortest that reads back as the same number."""
        distinct, places = np.unique(self.known(), return_inverse=True)
        codes = np.full(self.values.shape, -1, dtype=np.int32)
        codes[~np.isnan(self.values)] = places
        return Words(codes, [decimal_text(value) for value in distinct.tolist()])


RawColumn = Words | Numbers


def decimal_text(value: float) -> str:
    """A number as a category has it: without an exponent."""
    return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")


def texts_of(columns: Mapping[str, RawColumn]) -> dict[str, list[str]]:
    """Columns as text, empty where a row has no value; of lists, with commas between."""
    return {name: words_of(column).texts() for name, column in columns.items()}


def words_of(column: RawColumn) -> Words:
    """A column as categories see it."""
    return column if isinstance(column, Words) else column.as_words
