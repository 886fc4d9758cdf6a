"""What every layout of film ratings is read into, and the items that films become."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from plugrank_training.data.adapters.recorded import Events, Items, Recorded
from plugrank_training.data.ids import shortlex_key

YEAR = re.compile(r"\((?:19|20)\d\d\b[^)]*\)")


@dataclass(frozen=True)
class Film:
    """One item, as the source describes it."""

    item_id: str
    title: str
    genres: tuple[str, ...]
    # Four digits, or empty where unknown.
    year: str = ""
    # Milliseconds since the Unix epoch; None where no day is known.
    released_ms: int | None = None
    # What users wrote on it, most frequent first.
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plot:
    """What `plots.tsv` knows of a film; empty strings where it does not."""

    director: str
    actors: str
    plot: str


@dataclass(frozen=True)
class Source:
    """One source of ratings. Films and users stand in the order of their ids, shorter first, then by bytes."""

    name: str
    films: list[Film]
    user_ids: list[str]
    # Categorical columns of users, one value a user; the empty string where unknown.
    user_columns: dict[str, list[str]]
    events: Events
    time: str = "ms"
    negatives: str = "logged"
    plots: dict[str, Plot] = field(default_factory=dict)
    # What a person should know of this source, a sentence each.
    notes: tuple[str, ...] = ()


def in_id_order(films: list[Film]) -> list[Film]:
    """Films by id, shorter first, then by bytes."""
    return sorted(films, key=lambda film: shortlex_key(film.item_id))


def title_year(title: str) -> str:
    """The last year in parentheses: `1995` of `Seven (Se7en) (1995)`; empty where there is none."""
    found = YEAR.findall(title)
    return found[-1][1:5] if found else ""


def decade(year: str) -> str:
    """`1990s` of `1995`."""
    return f"{year[:3]}0s" if year else ""


def describe(film: Film, plot: Plot | None) -> str:
    """Text of an item, sentences of what is known: genres, year, director, actors, plot, tags."""
    genres = ", ".join(film.genres)
    sentences = []
    if genres or film.year:
        of_year = f" ({film.year})" if film.year else ""
        sentences.append(f"{genres or 'Film'}{of_year}.")
    if plot and plot.director:
        sentences.append(f"Directed by {plot.director}.")
    if plot and plot.actors:
        sentences.append(f"With {plot.actors}.")
    if plot and plot.plot:
        sentences.append(plot.plot)
    if film.tags:
        sentences.append(f"Tags: {', '.join(film.tags)}.")
    return " ".join(sentences)


def recorded(source: Source) -> Recorded:
    """Films as items, with the categorical columns `release_year` and `decade`."""
    films = source.films
    items = Items(
        ids=[film.item_id for film in films],
        titles=[film.title for film in films],
        texts=[describe(film, source.plots.get(film.item_id)) for film in films],
        categories=[list(film.genres) for film in films],
        created_ms=[film.released_ms for film in films],
        columns={
            "release_year": [film.year for film in films],
            "decade": [decade(film.year) for film in films],
        },
    )
    return Recorded(
        source.name,
        items,
        source.user_ids,
        source.user_columns,
        source.events,
        source.time,
        source.negatives,
        source.notes,
    )
