"""MovieLens in any of its layouts, or MovieTweetings, to a dataset folder. A click is a rating of 4 (8) or more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from plugrank_training.data.adapters import (
    movielens_100k,
    movielens_csv,
    movielens_dat,
    movielens_sequences,
    movietweetings,
)
from plugrank_training.data.adapters.folder import fingerprint, is_current, replaced_folder, write_source
from plugrank_training.data.adapters.plots import read_plots
from plugrank_training.data.adapters.posters import copy_posters, poster_files
from plugrank_training.data.adapters.source import Source
from plugrank_training.data.dataset import META
from plugrank_training.data.dataset_error import DatasetError


@dataclass(frozen=True)
class Layout:
    """One way ratings of films come in."""

    name: str
    # All must be there.
    files: tuple[str, ...]
    read: Callable[[Path, bool], Source]
    # Read where they are there.
    optional: tuple[str, ...] = ()
    # None may be there: they tell another layout.
    absent: tuple[str, ...] = ()

    def suits(self, folder: Path) -> bool:
        """Whether a folder has this layout's files."""
        there = all((folder / name).is_file() for name in self.files)
        return there and not any((folder / name).is_file() for name in self.absent)


LAYOUTS = (
    Layout("MovieLens 100K", movielens_100k.FILES, movielens_100k.read),
    Layout("MovieLens 1M", movielens_dat.FILES, movielens_dat.read),
    Layout("MovieLens 1M sequences", movielens_sequences.FILES, movielens_sequences.read),
    Layout("MovieLens latest", movielens_csv.FILES, movielens_csv.read, ("tags.csv",)),
    Layout("MovieTweetings", movietweetings.FILES, movietweetings.read, absent=movietweetings.ABSENT),
)
PLOTS = "plots.tsv"


def complete(folder: Path) -> Layout | None:
    """The first layout of which all files are there."""
    return next((layout for layout in LAYOUTS if layout.suits(folder)), None)


def detect(folder: Path) -> Layout:
    """The layout of a folder. Raises `DatasetError` that says what was looked for and what was found."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder")
    found = complete(folder)
    if found:
        return found
    lines = [f"{folder} is no MovieLens folder. Looked for:"]
    for layout in LAYOUTS:
        missing = [name for name in layout.files if not (folder / name).is_file()]
        lines.append(f"  {layout.name}: {', '.join(layout.files)} (missing: {', '.join(missing)})")
    names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in folder.iterdir())
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    lines.append(f"Found: {', '.join(names[:12]) or 'nothing'}{more}.")
    inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and complete(entry)]
    if inner:
        lines.append(f"Perhaps you mean {inner[0]}.")
    raise DatasetError("\n".join(lines))


def source_files(folder: Path, layout: Layout) -> list[Path]:
    """Every file a conversion reads."""
    named = [folder / name for name in (*layout.files, *layout.optional, PLOTS)]
    return [path for path in named if path.is_file()] + list(poster_files(folder).values())


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
        if (source / PLOTS).is_file():
            read = replace(read, plots=read_plots(source / PLOTS))
        posters = copy_posters(source, read.films, part, progress)
        notes = [*read.notes, *(f"poster left out, {problem}" for problem in posters.broken)]
        origin = {"layout": layout.name, "fingerprint": key, "notes": notes}
        write_source(read, posters.paths, part, origin)
    if progress:
        summary(out, layout, read, len(posters.paths))
        for note in notes[:8]:
            print(f"  note: {note}")
        if len(notes) > 8:
            print(f"  and {len(notes) - 8} more notes in {out / META}")


def summary(out: Path, layout: Layout, source: Source, images: int) -> None:
    """What was written, for the person at the terminal."""
    events = source.events
    rate = f", {events.label.mean():.2%} clicks" if len(events.label) else ""
    plots = sum(film.item_id in source.plots for film in source.films)
    print(f"{out}: {layout.name}, {len(events.label):,} interactions{rate}")
    print(f"  {len(source.user_ids):,} users; {len(source.films):,} items, {plots:,} with plot, {images:,} with image")
