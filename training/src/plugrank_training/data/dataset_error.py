"""The error of everything that reads a data set."""

from __future__ import annotations

from pathlib import Path


class DatasetError(ValueError):
    """A folder that is not what it should be; the message names the file, the place in it and what is wrong."""

    @classmethod
    def at(cls, path: Path, problem: str, *, column: str | None = None, row: int | None = None) -> DatasetError:
        """An error in a parquet file; rows count from 0, as readers of parquet do."""
        place = "".join([f", column `{column}`" if column else "", f", row {row}" if row is not None else ""])
        return cls(f"{path}{place}: {problem}")
