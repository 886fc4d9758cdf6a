"""Every layout that a download may have, and its conversion to a dataset folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from plugrank_training.data.adapters import (
    ebnerd,
    microlens,
    mind,
    movielens_100k,
    movielens_csv,
    movielens_dat,
    movielens_sequences,
    movietweetings,
)
from plugrank_training.data.adapters.folder import fingerprint, is_current, replaced_folder, write_recorded
from plugrank_training.data.adapters.images import copy_images, images_in
from plugrank_training.data.adapters.plots import read_plots
from plugrank_training.data.adapters.recorded import Recorded
from plugrank_training.data.adapters.source import Source, recorded
from plugrank_training.data.dataset import META
from plugrank_training.data.dataset_error import DatasetError

PLOTS, POSTERS = "plots.tsv", "posters"


@dataclass(frozen=True)
class Layout:
    """One way a source comes in. Files are patterns of `Path.glob`, relative to its folder."""

    name: str
    # Of each, one must be there.
    files: tuple[str, ...]
    read: Callable[[Path, bool], Recorded]
    # Read where they are there.
    optional: tuple[str, ...] = ()
    # None may be there: they tell another layout.
    absent: tuple[str, ...] = ()
    # Folder with images of items.
    images: str = POSTERS

    def missing(self, folder: Path) -> list[str]:
        """Which of the files are not there."""
        return [name for name in self.files if not found(folder, name)]

    def suits(self, folder: Path) -> bool:
        """Whether a folder has this layout's files."""
        return not self.missing(folder) and not any(found(folder, name) for name in self.absent)

    def image_files(self, folder: Path) -> dict[str, Path]:
        """Image of each item."""
        return {
            identity: path for place in sorted(folder.glob(self.images)) for identity, path in images_in(place).items()
        }


def found(folder: Path, pattern: str) -> list[Path]:
    """Files of a pattern."""
    return [path for path in sorted(folder.glob(pattern)) if path.is_file()]


def films(name: str, files: tuple[str, ...], read: Callable[[Path, bool], Source], *more: str) -> Layout:
    """A layout of film ratings; plots and posters may lie beside it."""

    def with_plots(folder: Path, progress: bool) -> Recorded:
        source = read(folder, progress)
        if (folder / PLOTS).is_file():
            source = replace(source, plots=read_plots(folder / PLOTS))
        return recorded(source)

    return Layout(name, files, with_plots, (*more, PLOTS))


LAYOUTS = (
    films("MovieLens 100K", movielens_100k.FILES, movielens_100k.read),
    films("MovieLens 1M", movielens_dat.FILES, movielens_dat.read),
    films("MovieLens 1M sequences", movielens_sequences.FILES, movielens_sequences.read),
    films("MovieLens latest", movielens_csv.FILES, movielens_csv.read, "tags.csv"),
    replace(films("MovieTweetings", movietweetings.FILES, movietweetings.read), absent=movietweetings.ABSENT),
    Layout("MIND", mind.FILES, mind.read),
    Layout("MIND, parts in folders", mind.IN_PARTS, mind.read),
    Layout("EB-NeRD", ebnerd.FILES, ebnerd.read, ebnerd.OPTIONAL),
    Layout("MicroLens", microlens.FILES, microlens.read, microlens.OPTIONAL, images=microlens.COVERS),
)


def complete(folder: Path) -> Layout | None:
    """The first layout of which all files are there."""
    return next((layout for layout in LAYOUTS if layout.suits(folder)), None)


def detect(folder: Path) -> Layout:
    """The layout of a folder. Raises `DatasetError` that says what was looked for and what was found."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder")
    layout = complete(folder)
    if layout:
        return layout
    lines = [f"{folder} has no layout that is known. Looked for:"]
    for layout in LAYOUTS:
        lines.append(f"  {layout.name}: {', '.join(layout.files)} (missing: {', '.join(layout.missing(folder))})")
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    lines.append(f"Found: {', '.join(names[:12]) or 'nothing'}{more}.")
    inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and complete(entry)]
    if inner:
        lines.append(f"Perhaps you mean {inner[0]}.")
    raise DatasetError("\n".join(lines))


def source_files(folder: Path, layout: Layout) -> list[Path]:
    """Every file a conversion reads."""
    named = [path for name in (*layout.files, *layout.optional) for path in found(folder, name)]
    return sorted({*named, *layout.image_files(folder).values()})


def convert(source: Path, out: Path, progress: bool = True) -> None:
    """Write `source` as a dataset folder `out`, whole or not at all; done before and unchanged, it is left as it is.

    Raises `DatasetError` where no layout is found, a line is malformed, or `out` holds something else.
    """
    layout = detect(source)
    if out.resolve() == source.resolve():
        raise DatasetError(f"{out}: choose a folder other than the source")
    key = fingerprint(source, source_files(source, layout))
    if is_current(out, key):
        if progress:
            print(f"{out}: converted from this source before, reused", flush=True)
        return
    with replaced_folder(out) as part:
        read = layout.read(source, progress)
        images = copy_images(layout.image_files(source), read.items.ids, part, progress)
        notes = [*read.notes, *(f"image left out, {problem}" for problem in images.broken)]
        origin = {"layout": layout.name, "fingerprint": key, "notes": notes}
        write_recorded(read, images.paths, part, origin)
    if progress:
        summary(out, layout, read, len(images.paths))
        for note in notes[:8]:
            print(f"  note: {note}")
        if len(notes) > 8:
            print(f"  and {len(notes) - 8} more notes in {out / META}")


def summary(out: Path, layout: Layout, source: Recorded, images: int) -> None:
    """Summary of the written files for the terminal."""
    events, items = source.events, source.items
    rate = f", {events.label.mean():.2%} clicks" if len(events.label) else ""
    texts = sum(bool(text) for text in items.texts)
    print(f"{out}: {layout.name}, {len(events.label):,} interactions{rate}")
    print(f"  {len(source.user_ids):,} users; {len(items.ids):,} items, {texts:,} with text, {images:,} with image")
