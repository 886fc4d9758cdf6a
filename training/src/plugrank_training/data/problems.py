"""Everything that is wrong with a dataset folder, told at once with counts and first rows.

Rules have the names that the loader gives them (docs/dataset-format.md, "Checks").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from plugrank_training.data.dataset_error import DatasetError

# Rows that are named of each problem.
ROWS = 3
Key = tuple[str, str, str]


@dataclass
class Problem:
    """One rule that a file or a column breaks."""

    path: Path
    column: str
    message: str
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def text(self) -> str:
        """For a person."""
        place = f", column `{self.column}`" if self.column else ""
        place += f", row {self.rows[0]}" if self.rows else ""
        more = ""
        if self.count > 1 and self.rows:
            rest = ", ..." if self.count > len(self.rows) else ""
            more = f" ({self.count:,} such rows: {', '.join(map(str, self.rows))}{rest})"
        return f"{self.path}{place}: {self.message}{more}"


class FolderError(DatasetError):
    """A folder with one problem or several; `keys` are (file, column or empty, rule)."""

    keys: frozenset[Key]


class Problems:
    """Problems as they are found."""

    def __init__(self) -> None:
        self.found: dict[Key, Problem] = {}

    def add(self, path: Path, rule: str, message: str, *, column: str = "", rows: Iterable[int] = ()) -> None:
        """Count a problem in `path`; `rows` are the rows that have it, none where it is about the whole column."""
        problem = self.found.setdefault((path.name, column, rule), Problem(path, column, message))
        places = list(rows)
        problem.count += len(places)
        problem.rows += places[: max(0, ROWS - len(problem.rows))]

    def raise_if_any(self) -> None:
        """Raise `FolderError` where something was found."""
        if not self.found:
            return
        lines = [problem.text() for problem in self.found.values()]
        text = lines[0] if len(lines) == 1 else "\n  ".join([f"the dataset folder has {len(lines)} problems:", *lines])
        error = FolderError(text)
        error.keys = frozenset(self.found)
        raise error
