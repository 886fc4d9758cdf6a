"""Images of items: a folder of `ITEM_ID.jpg` (or .jpeg, .png) beside the source's files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from plugrank_training.progress_bar import progress_bar

SUFFIXES = (".jpg", ".jpeg", ".png")
FORMATS = ("JPEG", "PNG")


@dataclass(frozen=True)
class Images:
    """What was copied."""

    # Path inside the dataset folder, by item id.
    paths: dict[str, str]
    # Files that are no readable JPEG or PNG, with the reason.
    broken: list[str]


def images_in(place: Path) -> dict[str, Path]:
    """Image of each item id; of several, the first of the suffixes above. Nothing where there is no such folder."""
    if not place.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(place.iterdir(), key=lambda path: (path.suffix.lower(), path.name)):
        if path.suffix.lower() in SUFFIXES:
            found.setdefault(path.stem, path)
    return found


def copy_images(files: dict[str, Path], item_ids: list[str], out: Path, progress: bool) -> Images:
    """Copy the images of items to `images/` of a dataset folder; a file that cannot be decoded is left out."""
    wanted = [(identity, files[identity]) for identity in item_ids if identity in files]
    images = Images({}, [])
    if not wanted:
        return images
    (out / "images").mkdir()
    for identity, path in progress_bar(wanted, desc="images", unit="image", shown=progress):
        try:
            with Image.open(path, formats=FORMATS) as image:
                image.load()
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            images.broken.append(f"{path.name}: {error}")
            continue
        target = f"images/{path.name}"
        shutil.copyfile(path, out / target)
        images.paths[identity] = target
    return images
