"""The layout of "latest" and of 20M and later: `ratings.csv`, `movies.csv`, optional `tags.csv`, UTF-8."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from plugrank_training.data.adapters.films import STARS, Once, film_rows
from plugrank_training.data.adapters.lines import Line
from plugrank_training.data.adapters.recorded import Events
from plugrank_training.data.adapters.source import Film, Source, in_id_order, title_year
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.progress_bar import progress_bar

FILES = ("ratings.csv", "movies.csv")
NO_GENRES = "(no genres listed)"
# How many of a film's tags go into its text.
TAGS = 10


def read(folder: Path, progress: bool) -> Source:
    """All tables except plots and posters."""
    tags = read_tags(folder / "tags.csv") if (folder / "tags.csv").is_file() else {}
    films = read_films(folder / "movies.csv", tags)
    user_ids, events = read_ratings(folder / "ratings.csv", film_rows(films), progress)
    return Source("movielens-latest", films, user_ids, {}, events)


def read_table(path: Path, names: Sequence[str]) -> Iterator[Line]:
    """Rows of a CSV file whose first line has these names."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for number, fields in enumerate(reader):
                line = Line(path, reader.line_num, fields)
                if number == 0 and fields != list(names):
                    raise line.error(f"the first line must be {','.join(names)}, not {','.join(fields)}")
                if number == 0 or not fields:
                    continue
                if len(fields) != len(names):
                    raise line.error(f"{len(fields)} field(s), but {len(names)} expected ({', '.join(names)})")
                yield line
        except csv.Error as error:
            raise DatasetError(f"{path}, line {reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}: not encoded as UTF-8: {error}") from error


def read_films(path: Path, tags: dict[str, tuple[str, ...]]) -> list[Film]:
    """Films, by id."""
    once, films = Once("movieId"), []
    for line in read_table(path, ("movieId", "title", "genres")):
        identity = str(line.whole(0, "movieId"))
        once.check(line, identity)
        title, genres = line.fields[1].strip(), line.fields[2].strip()
        named = () if genres == NO_GENRES else tuple(genre for genre in genres.split("|") if genre)
        films.append(Film(identity, title, named, title_year(title), tags=tags.get(identity, ())))
    return in_id_order(films)


def read_tags(path: Path) -> dict[str, tuple[str, ...]]:
    """A film's most frequent tags in lower case, ties in alphabetical order."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in read_table(path, ("userId", "movieId", "tag", "timestamp")):
        tag = line.fields[2].strip().lower()
        if tag:
            counts[str(line.whole(1, "movieId"))][tag] += 1
    return {film: tuple(sorted(count, key=lambda tag: (-count[tag], tag))[:TAGS]) for film, count in counts.items()}


def read_ratings(path: Path, films: dict[str, int], progress: bool) -> tuple[list[str], Events]:
    """Users by id, and their ratings. Read by Arrow: the greatest of these files have tens of millions of lines."""
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    kinds = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float32(), "timestamp": pa.int64()}
    bar = progress_bar(desc=path.name, unit="row", unit_scale=True, shown=progress)
    try:
        with (
            bar,
            pv.open_csv(
                path,
                # One thread, so that an error names its row.
                read_options=pv.ReadOptions(use_threads=False, block_size=1 << 22),
                convert_options=pv.ConvertOptions(column_types=kinds, include_columns=list(kinds)),
            ) as reader,
        ):
            for batch in reader:
                bar.update(batch.num_rows)
                for name in kinds:
                    columns[name].append(no_null(path, name, batch.column(name)))
    except (pa.ArrowException, KeyError) as error:
        raise DatasetError(f"{path}: {error}; the columns must be {','.join(kinds)}") from error
    user, movie, rating, timestamp = (
        np.concatenate(columns[name]) if columns[name] else np.zeros(0, dtype=np.int64) for name in kinds
    )
    for name, wrong, values in (
        ("userId", user < 0, user),
        ("rating", ~((rating >= 0.5) & (rating <= 5)), rating),
        ("timestamp", (timestamp < 0) | (timestamp >= 10**15), timestamp),
    ):
        refuse(path, name, wrong, values, "is out of range")
    known = np.array(sorted(int(film) for film in films), dtype=np.int64)
    at = np.minimum(np.searchsorted(known, movie), len(known) - 1)
    refuse(path, "movieId", known[at] != movie, movie, "is not in movies.csv")
    rows = np.array([films[str(film)] for film in known], dtype=np.int32)
    # Numbers without leading zeros: their order is the order of ids.
    users, place = np.unique(user, return_inverse=True)
    label = (rating >= STARS.click_from).astype(np.int8)
    return [str(number) for number in users], Events(place.astype(np.int32), rows[at], timestamp * 1000, label)


def no_null(path: Path, name: str, column: pa.Array) -> np.ndarray:
    """Values of a column, which may not be empty anywhere."""
    if column.null_count:
        raise DatasetError(f"{path}: an empty value in column {name}")
    return column.to_numpy(zero_copy_only=False)


def refuse(path: Path, name: str, wrong: np.ndarray, values: np.ndarray, problem: str) -> None:
    """Raise at the first value that is wrong; the first line has the names."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DatasetError(f"{path}, line {row + 2}: {name} {values[row]} {problem}")
