"""The layout of MovieTweetings: `ratings.dat` and `movies.dat`, fields separated by `::`, UTF-8; ratings from 0 to 10.

Its file of accounts, `users.dat`, is not read: it names people and tells nothing that training could use.
"""

from __future__ import annotations

from pathlib import Path

from plugrank_training.data.adapters.films import RATING_FIELDS, Once, film_rows, read_ratings, rows_of
from plugrank_training.data.adapters.lines import Scale, read_lines
from plugrank_training.data.adapters.source import Film, Source, in_id_order, title_year
from plugrank_training.data.ids import shortlex_key

FILES = ("ratings.dat", "movies.dat")
# With it, the two files are MovieLens 1M's.
ABSENT = ("users.dat",)
ENCODING, SEPARATOR = "utf-8-sig", "::"
# A rating from here on is a click.
SCALE = Scale(lowest=0.0, highest=10.0, click_from=8.0)


def read(folder: Path, progress: bool) -> Source:
    """All tables except plots and posters."""
    films = read_films(folder / "movies.dat")
    path = folder / "ratings.dat"
    named = {line.identity(0, "user id") for line in read_lines(path, SEPARATOR, RATING_FIELDS, ENCODING)}
    user_ids = sorted(named, key=shortlex_key)
    lines = read_lines(path, SEPARATOR, RATING_FIELDS, ENCODING, progress=progress)
    events = read_ratings(lines, rows_of(user_ids), film_rows(films), ("ratings.dat", "movies.dat"), SCALE)
    return Source("movietweetings", films, user_ids, {}, events)


def read_films(path: Path) -> list[Film]:
    """Films, by id."""
    once, films = Once("movie id"), []
    for line in read_lines(path, SEPARATOR, ("movie id", "title", "genres"), ENCODING):
        identity = line.identity(0, "movie id")
        once.check(line, identity)
        title = line.fields[1].strip()
        genres = tuple(genre.strip() for genre in line.fields[2].split("|") if genre.strip())
        films.append(Film(identity, title, genres, title_year(title)))
    return in_id_order(films)
