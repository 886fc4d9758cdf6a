"""The layout of MovieLens 100K: `u.data`, `u.item`, `u.user`, `u.genre`, Latin-1."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from plugrank_training.data.adapters.demographics import age_group, zip_region
from plugrank_training.data.adapters.films import RATING_FIELDS, Once, film_rows, read_ratings, rows_of
from plugrank_training.data.adapters.lines import Line, read_lines
from plugrank_training.data.adapters.source import Film, Source, in_id_order, title_year
from plugrank_training.data.ids import shortlex_key

FILES = ("u.data", "u.item", "u.user", "u.genre")
ENCODING = "latin-1"
# The layout's name for "no genre".
NO_GENRE = "unknown"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def read(folder: Path, progress: bool) -> Source:
    """All tables except plots and posters."""
    genres = read_genres(folder / "u.genre")
    films = in_id_order(read_films(folder / "u.item", genres))
    users = read_users(folder / "u.user")
    user_ids = sorted(users, key=shortlex_key)
    lines = read_lines(folder / "u.data", "\t", RATING_FIELDS, ENCODING, progress=progress)
    names = ("age_group", "gender", "occupation", "zip_region")
    return Source(
        name="movielens-100k",
        films=films,
        user_ids=user_ids,
        user_columns={name: [users[user][place] for user in user_ids] for place, name in enumerate(names)},
        events=read_ratings(lines, rows_of(user_ids), film_rows(films), ("u.user", "u.item")),
    )


def read_genres(path: Path) -> list[str]:
    """Names of the genre flags, in the order of the flags."""
    named = {
        line.whole(1, "number"): line.identity(0, "genre")
        for line in read_lines(path, "|", ("genre", "number"), ENCODING)
    }
    return [named[number] for number in sorted(named)]


def read_films(path: Path, genres: list[str]) -> list[Film]:
    """Films with the genres whose flag is 1."""
    head = ("movie id", "title", "release date", "video release date", "URL")
    once, films = Once("movie id"), []
    for line in read_lines(path, "|", (*head, *genres), ENCODING):
        identity = line.identity(0, "movie id")
        once.check(line, identity)
        title = line.fields[1].strip()
        released = release_date(line, line.fields[2].strip())
        films.append(
            Film(
                item_id=identity,
                title=title,
                genres=tuple(flagged(line, genres, len(head))),
                year=title_year(title) or (str(released.year) if released else ""),
                released_ms=int(released.timestamp()) * 1000 if released else None,
            )
        )
    return films


def flagged(line: Line, genres: list[str], first: int) -> list[str]:
    """Genres whose flag is 1."""
    found = []
    for place, genre in enumerate(genres, start=first):
        flag = line.fields[place].strip()
        if flag not in ("0", "1"):
            raise line.error(f"flag of genre {genre} is `{flag}`, not 0 or 1")
        if flag == "1" and genre != NO_GENRE:
            found.append(genre)
    return found


def release_date(line: Line, text: str) -> datetime | None:
    """`01-Jan-1995`, whatever the machine's language; None where empty."""
    if not text:
        return None
    day, _, rest = text.partition("-")
    month, _, year = rest.partition("-")
    try:
        return datetime(int(year), MONTHS.index(month) + 1, int(day), tzinfo=UTC)
    except ValueError as error:
        raise line.error(f"release date `{text}` is not of the form 01-Jan-1995") from error


def read_users(path: Path) -> dict[str, tuple[str, str, str, str]]:
    """Age group, gender, occupation and ZIP region of each user."""
    names = ("user id", "age", "gender", "occupation", "zip code")
    once, users = Once("user id"), {}
    for line in read_lines(path, "|", names, ENCODING):
        identity = line.identity(0, "user id")
        once.check(line, identity)
        occupation = line.fields[3].strip()
        users[identity] = (
            age_group(line.whole(1, "age")),
            line.fields[2].strip(),
            "" if occupation == "none" else occupation,
            zip_region(line.fields[4]),
        )
    return users
