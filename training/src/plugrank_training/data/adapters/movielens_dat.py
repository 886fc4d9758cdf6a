"""The layout of MovieLens 1M: `ratings.dat`, `movies.dat`, `users.dat`, fields separated by `::`, Latin-1."""

from __future__ import annotations

from pathlib import Path

from plugrank_training.data.adapters.demographics import OCCUPATIONS, age_group, zip_region
from plugrank_training.data.adapters.films import RATING_FIELDS, Once, film_rows, read_ratings, rows_of
from plugrank_training.data.adapters.lines import Line, read_lines
from plugrank_training.data.adapters.source import Film, Source, in_id_order, title_year
from plugrank_training.data.ids import shortlex_key

FILES = ("ratings.dat", "movies.dat", "users.dat")
ENCODING, SEPARATOR = "latin-1", "::"


def read(folder: Path, progress: bool) -> Source:
    """All tables except plots and posters."""
    films = read_films(folder / "movies.dat")
    user_ids, user_columns = read_users(folder / "users.dat")
    lines = read_lines(folder / "ratings.dat", SEPARATOR, RATING_FIELDS, ENCODING, progress=progress)
    events = read_ratings(lines, rows_of(user_ids), film_rows(films), ("users.dat", "movies.dat"))
    return Source("movielens-1m", films, user_ids, user_columns, events)


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


def read_users(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Users by id, and their columns."""
    names = ("user id", "gender", "age", "occupation", "zip code")
    once, users = Once("user id"), {}
    for line in read_lines(path, SEPARATOR, names, ENCODING):
        identity = line.identity(0, "user id")
        once.check(line, identity)
        users[identity] = (
            age_group(line.whole(2, "age")),
            line.fields[1].strip(),
            occupation(line),
            zip_region(line.fields[4]),
        )
    user_ids = sorted(users, key=shortlex_key)
    columns = ("age_group", "gender", "occupation", "zip_region")
    return user_ids, {name: [users[user][place] for user in user_ids] for place, name in enumerate(columns)}


def occupation(line: Line) -> str:
    """Name of an occupation's number."""
    number = line.whole(3, "occupation")
    if number >= len(OCCUPATIONS):
        raise line.error(f"occupation {number} is not a number from 0 to {len(OCCUPATIONS) - 1}")
    return OCCUPATIONS[number]
