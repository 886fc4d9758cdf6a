"""Ratings to events, the same for every layout with ratings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from plugrank_training.data.adapters.lines import Line, Scale
from plugrank_training.data.adapters.recorded import Events
from plugrank_training.data.adapters.source import Film
from plugrank_training.data.dataset_error import DatasetError

# Of MovieLens.
STARS = Scale(lowest=0.5, highest=5.0, click_from=4.0)
RATING_FIELDS = ("user id", "movie id", "rating", "timestamp")


def read_ratings(
    lines: Iterable[Line], users: dict[str, int], films: dict[str, int], homes: tuple[str, str], scale: Scale = STARS
) -> Events:
    """Lines of user id, movie id, rating and timestamp in seconds; `homes` names the files of users and films."""
    rows: list[tuple[int, int, int, bool]] = []
    for line in lines:
        user = line.row(0, "user id", users, homes[0])
        film = line.row(1, "movie id", films, homes[1])
        rows.append((user, film, line.whole(3, "timestamp") * 1000, line.rating(2, scale) >= scale.click_from))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Events(
        user=table[:, 0].astype(np.int32),
        item=table[:, 1].astype(np.int32),
        timestamp=table[:, 2].copy(),
        label=table[:, 3].astype(np.int8),
    )


class Once:
    """Refuses an id that comes a second time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: dict[str, int] = {}

    def check(self, line: Line, identity: str) -> None:
        """Raise where the id has been seen, naming both lines."""
        if identity in self.seen:
            raise line.error(f"{self.name} `{identity}` already stands in line {self.seen[identity]}")
        self.seen[identity] = line.number


def rows_of(ids: Iterable[str]) -> dict[str, int]:
    """Row of each id."""
    return {identity: row for row, identity in enumerate(ids)}


def film_rows(films: list[Film]) -> dict[str, int]:
    """Row of each film's id. Raises where there is no film."""
    if not films:
        raise DatasetError("the source has no films")
    return rows_of(film.item_id for film in films)
