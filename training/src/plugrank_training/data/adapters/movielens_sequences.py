"""MovieLens 1M without ratings: `sequences.parquet` (user_id, item_ids in time order), `movies.dat`, `users.dat`.

Every event is a click, and its place in the user's sequence, from 0, is its timestamp.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from plugrank_training.data.adapters import movielens_dat
from plugrank_training.data.adapters.films import film_rows
from plugrank_training.data.adapters.recorded import Events
from plugrank_training.data.adapters.source import Film, Source, in_id_order
from plugrank_training.data.ids import shortlex_key
from plugrank_training.data.parquet_table import ParquetTable
from plugrank_training.progress_bar import progress_bar

FILES = ("sequences.parquet", "movies.dat", "users.dat")


def read(folder: Path, progress: bool) -> Source:
    """Everything but plots and posters.

    This form comes with a `movies.dat` that lacks a few films of the sequences. Such a film is kept without title and
    genres, as any item without content: leaving it out would put a gap into histories.
    """
    user_ids, user_columns = movielens_dat.read_users(folder / "users.dat")
    sequences = Sequences(folder / "sequences.parquet", user_ids, progress)
    films = movielens_dat.read_films(folder / "movies.dat")
    known = {film.item_id for film in films}
    bare = sorted(set(sequences.items) - known, key=shortlex_key)
    films = in_id_order(films + [Film(identity, "", ()) for identity in bare])
    few = ", ".join(bare[:5]) + (", ..." if len(bare) > 5 else "")
    return Source(
        name="movielens-1m-sequences",
        films=films,
        user_ids=user_ids,
        user_columns=user_columns,
        events=sequences.events(film_rows(films)),
        time="order",
        negatives="matched",
        notes=(f"{len(bare)} item(s) of the sequences are not in movies.dat, kept without title: {few}",)
        if bare
        else (),
    )


class Sequences:
    """The entries of all sequences, one after another."""

    def __init__(self, path: Path, user_ids: list[str], progress: bool) -> None:
        table = ParquetTable(path)
        for name in ("user_id", "item_ids"):
            table.has(name)
        table.unique_ids("user_id")
        self.users = table.places("user_id", pa.array(user_ids, pa.large_string()), "users.dat")
        self.items: list[str] = []
        length = np.zeros(table.rows, dtype=np.int64)
        rows = table.text_lists("item_ids")
        for row, items in enumerate(progress_bar(rows, desc=path.name, unit="user", shown=progress)):
            length[row] = len(items)
            self.items += items
        # Which sequence each entry is of, and its place there.
        self.row = np.repeat(np.arange(table.rows), length)
        self.place = np.arange(len(self.row)) - (np.cumsum(length) - length)[self.row]

    def events(self, films: dict[str, int]) -> Events:
        """One click for each entry."""
        return Events(
            user=self.users[self.row],
            item=np.array([films[item] for item in self.items], dtype=np.int32),
            timestamp=self.place.astype(np.int64),
            label=np.ones(len(self.row), dtype=np.int8),
        )
