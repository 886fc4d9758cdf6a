"""What every layout is read into before it is written as a dataset folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

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
class Events:
    """Interactions, in any order; users and films are rows of the source's lists."""

    # int32 [n], int32 [n], int64 [n] (ms or position), int8 [n]
    user: np.ndarray
    item: np.ndarray
    timestamp: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Source:
    """One source, read in whole. Films and users stand in the order of their ids, shorter first, then by bytes."""

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
