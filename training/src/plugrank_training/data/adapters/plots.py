"""`plots.tsv`: movie_id, director, actors, plot; UTF-8, tabs, no quoting."""

from __future__ import annotations

from pathlib import Path

from plugrank_training.data.adapters.films import Once
from plugrank_training.data.adapters.lines import read_lines
from plugrank_training.data.adapters.source import Plot

NAMES = ("movie_id", "director", "actors", "plot")


def read_plots(path: Path) -> dict[str, Plot]:
    """Plots by movie id. Films the catalog does not have do no harm."""
    once, plots = Once("movie_id"), {}
    for line in read_lines(path, "\t", NAMES, "utf-8-sig"):
        if line.number == 1:
            if [name.strip() for name in line.fields] != list(NAMES):
                raise line.error(f"the first line must be {', '.join(NAMES)}, separated by tabs")
            continue
        identity = line.identity(0, "movie_id")
        once.check(line, identity)
        plots[identity] = Plot(*(" ".join(field.split()) for field in line.fields[1:]))
    return plots
