"""Delimited text files, with errors that name file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.progress_bar import progress_bar

# Digits of the greatest timestamp in seconds that is still one in milliseconds (int64).
MOST_DIGITS = 15


@dataclass(frozen=True)
class Scale:
    """The ratings of a source."""

    lowest: float
    highest: float
    # A rating from here on is a click.
    click_from: float


@dataclass(frozen=True)
class Line:
    """One line of a file, cut into its fields."""

    path: Path
    number: int
    fields: list[str]

    def error(self, problem: str) -> DatasetError:
        """An error in this line."""
        return DatasetError(f"{self.path}, line {self.number}: {problem}")

    def identity(self, place: int, name: str) -> str:
        """An id: not empty, without white space around it."""
        value = self.fields[place].strip()
        if not value:
            raise self.error(f"{name} is empty")
        return value

    def whole(self, place: int, name: str) -> int:
        """A whole number from 0."""
        value = self.fields[place].strip()
        if not (value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS):
            raise self.error(f"{name} `{value}` is not a whole number from 0")
        return int(value)

    def rating(self, place: int, scale: Scale) -> float:
        """A rating within the scale."""
        value = self.fields[place].strip()
        try:
            rating = float(value)
        except ValueError:
            rating = float("nan")
        if not scale.lowest <= rating <= scale.highest:
            raise self.error(f"rating `{value}` is not a number from {scale.lowest:g} to {scale.highest:g}")
        return rating

    def row(self, place: int, name: str, rows: dict[str, int], home: str) -> int:
        """Row of an id in a table read before."""
        value = self.fields[place].strip()
        if value not in rows:
            raise self.error(f"{name} `{value}` is not in {home}")
        return rows[value]


def read_lines(
    path: Path, separator: str, names: Sequence[str], encoding: str, *, progress: bool = False, more: bool = False
) -> Iterator[Line]:
    """Lines of a file with one field for each name; lines without anything are passed over.

    With `more`, further fields may follow.
    """
    size = path.stat().st_size
    with (
        path.open(encoding=encoding, newline="\n") as file,
        progress_bar(total=size, desc=path.name, unit="B", unit_scale=True, shown=progress) as bar,
    ):
        try:
            for number, text in enumerate(file, start=1):
                bar.update(len(text))
                text = text.rstrip("\r\n")
                if not text.strip():
                    continue
                line = Line(path, number, text.split(separator))
                found, wanted = len(line.fields), len(names)
                if found < wanted or (found > wanted and not more):
                    shown = text if len(text) <= 80 else text[:77] + "..."
                    expected = f"{wanted} expected ({', '.join(names)}), separated by {separator!r}"
                    raise line.error(f"{found} field(s), but {expected}: {shown}")
                yield line
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}: not encoded as {encoding}: {error}") from error
