"""Features: categories with their vocabularies, numbers with their transforms, and how rows of either are encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plugrank_training.data.raw_column import Numbers, RawColumn, Rows, Words, words_of
from plugrank_training.models.transforms import Transform

# Ids 0 and 1 of every vocabulary (docs/bundle-format.md).
MISSING = 0
OTHER = 1
FIRST = 2
# What a feature of the request's time may be, with its values.
DERIVED = {"hour": tuple(map(str, range(24))), "weekday": tuple(map(str, range(7)))}
# Rows of a column -> ids or numbers, `[rows]` for length 1, else `[rows, length]`.
Encoder = Callable[[Rows], np.ndarray]


@dataclass(frozen=True)
class Observed:
    """Shares of training rows: without a value, and with one that the vocabulary does not have."""

    missing: float
    unknown: float


@dataclass(frozen=True)
class Feature:
    """One feature: its column, how many values a row has, and its vocabulary or its transform."""

    name: str
    column: str
    length: int
    # Of a category.
    values: tuple[str, ...] = ()
    index: dict[str, int] = field(repr=False, compare=False, default_factory=dict)
    # Of a number; None for a category.
    transform: Transform | None = None
    # What a missing number is read as, after the transform.
    missing: float = 0.0
    # Quantiles of a number's training values, after the transform: where its embedding has its corners.
    corners: tuple[float, ...] = ()
    # `hour` or `weekday` of the request's time, in place of a column.
    derive: str = ""
    observed: Observed | None = field(compare=False, default=None)

    @classmethod
    def of(cls, name: str, values: Iterable[str], length: int = 1) -> Feature:
        """A category whose column has its name. Values keep their order; a value may not hold a line break."""
        kept = tuple(value for value in values if value and "\n" not in value and "\r" not in value)
        return cls(name, name, length, kept, {v: i + FIRST for i, v in enumerate(kept)})

    @classmethod
    def number(cls, name: str, transform: Transform, length: int = 1, missing: float = 0.0) -> Feature:
        """A number whose column has its name."""
        return cls(name, name, length, transform=transform, missing=missing)

    @property
    def is_number(self) -> bool:
        """Whether models read it as f32; a category or a bucket is read as an id."""
        return self.transform is not None and self.transform.kind != "buckets"

    @property
    def size(self) -> int:
        """Rows of the embedding table of what is read as ids: a category has the values, "missing" and "other"."""
        if self.transform is None:
            return len(self.values) + FIRST
        # Ids of n boundaries are 1 to n + 1, and 0 is missing.
        return len(self.transform.bounds) + 2

    @property
    def absent(self) -> float:
        """What stands where a row has no value: an id, or a number."""
        return self.missing if self.is_number else MISSING

    def nothing(self, shape: tuple[int, ...]) -> np.ndarray:
        """Rows without a value: `shape`, and the length where that is not 1."""
        whole = shape if self.length == 1 else (*shape, self.length)
        return np.full(whole, self.absent, dtype=np.float32 if self.is_number else np.int64)

    def id_of(self, value: str | None) -> int:
        """The id of one value of a category: 0 where absent or empty, 1 where unknown."""
        return self.index.get(value, OTHER) if value else MISSING

    def suits(self, column: RawColumn) -> bool:
        """Whether a column can be read: text is no number."""
        return self.transform is None or isinstance(column, Numbers)

    def encoder(self, column: RawColumn) -> Encoder:
        """Encodes rows of a column. Raises `ValueError` for text where a number is meant."""
        if self.transform is None:
            words = words_of(column)
            # The last one is found by the place -1.
            ids = np.array([*(self.id_of(word) for word in words.words), MISSING], dtype=np.int64)
            return lambda rows: self.cut(ids[words.codes[rows]])
        if isinstance(column, Words):
            raise ValueError(f"column `{self.column}` holds text, but feature `{self.name}` is a number")
        transform, numbers = self.transform, column.values
        if not self.is_number:
            return lambda rows: self.cut(transform.bucket_ids(np.asarray(numbers[rows])))

        def encode(rows: Rows) -> np.ndarray:
            made = transform.numbers(np.asarray(numbers[rows]))
            return self.cut(np.where(np.isnan(made), np.float32(self.missing), made))

        return encode

    def encode(self, column: RawColumn | None, rows: int) -> np.ndarray:
        """All `rows` of a column; missing where there is none."""
        return self.nothing((rows,)) if column is None else self.encoder(column)(slice(None))

    def cut(self, rows: np.ndarray) -> np.ndarray:
        """`[rows]` or `[rows, width]` as `[rows]` for length 1 (of lists the first value), else `[rows, length]`."""
        if self.length == 1:
            return rows if rows.ndim == 1 else rows[:, 0]
        wide = rows[:, None] if rows.ndim == 1 else rows
        if wide.shape[1] >= self.length:
            return wide[:, : self.length]
        padding = self.nothing((len(wide),))[:, wide.shape[1] :]
        return np.concatenate([wide, padding.astype(wide.dtype)], axis=1)

    def derived(self, milliseconds: np.ndarray, timezone: str) -> np.ndarray:
        """Ids of requests at these times, int64, of a feature that is derived from them."""
        local = pa.array(milliseconds, pa.timestamp("ms", timezone))
        found = pc.hour(local) if self.derive == "hour" else pc.day_of_week(local, count_from_zero=True, week_start=1)
        ids = np.array([self.id_of(value) for value in DERIVED[self.derive]], dtype=np.int64)
        return ids[found.to_numpy(zero_copy_only=False)]


def frequent(values: Iterable[str | None], at_least: int = 1) -> list[str]:
    """Distinct values that occur `at_least` times, the most frequent first, ties by value."""
    counts = Counter(value for value in values if value)
    return by_count(counts.keys(), counts.values(), at_least)


def by_count(words: Iterable[str], counts: Iterable[int], at_least: int) -> list[str]:
    """Words that occur `at_least` times, the most frequent first, ties by word."""
    kept = [(word, count) for word, count in zip(words, counts, strict=True) if count >= at_least]
    return [word for word, _ in sorted(kept, key=lambda pair: (-pair[1], pair[0]))]
