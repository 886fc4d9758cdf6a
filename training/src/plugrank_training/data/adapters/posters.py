"""Posters: `posters/MOVIE_ID.jpg` (or .jpeg, .png) beside the source's files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from plugrank_training.data.adapters.source import Film
from plugrank_training.progress_bar import progress_bar

SUFFIXES = (".jpg", ".jpeg", ".png")
FORMATS = ("JPEG", "PNG")


@dataclass(frozen=True)
class Posters:
    """What was copied."""

    # Path inside the dataset folder, by item id.
    paths: dict[str, str]
    # Files that are no readable JPEG or PNG, with the reason.
    broken: list[str]


def poster_files(folder: Path) -> dict[str, Path]:
    """Poster of each movie id; of several, the first of the suffixes above."""
    place = folder / "posters"
    if not place.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(place.iterdir(), key=lambda path: (path.suffix.lower(), path.name)):
        if path.suffix.lower() in SUFFIXES:
            found.setdefault(path.stem, path)
    return found


def copy_posters(folder: Path, films: list[Film], out: Path, progress: bool) -> Posters:
    """Copy the posters of films to `images/` of a dataset folder; a file that cannot be decoded is left out."""
    files = poster_files(folder)
    wanted = [(film.item_id, files[film.item_id]) for film in films if film.item_id in files]
    posters = Posters({}, [])
    if not wanted:
        return posters
    (out / "images").mkdir()
    for identity, path in progress_bar(wanted, desc="posters", unit="image", shown=progress):
        try:
            with Image.open(path, formats=FORMATS) as image:
                image.load()
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            posters.broken.append(f"{path.name}: {error}")
            continue
        target = f"images/{path.name}"
        shutil.copyfile(path, out / target)
        posters.paths[identity] = target
    return posters
