"""The subcommand `convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from plugrank_training.data.adapters.convert import convert_any

DESCRIPTION = """\
Turns a click log into a dataset folder, the one form that training, loading and simulation read
(docs/dataset-format.md). With --map any log will do (csv, tsv, parquet, JSON lines): log.toml says which columns are
what (docs/convert.md); rows that cannot be used are dropped and counted.

Without, SRC is a download. The layout is found by the files that are there:

  MovieLens 100K           u.data, u.item, u.user, u.genre
  MovieLens 1M             ratings.dat, movies.dat, users.dat
  MovieLens latest, 20M+   ratings.csv, movies.csv, optional tags.csv
  MovieLens 1M sequences   sequences.parquet, movies.dat, users.dat (clicks only, no times)
  MovieTweetings           ratings.dat, movies.dat, no users.dat
  MIND                     news.tsv, behaviors.tsv, here or in folders of parts (MINDsmall_train, MINDsmall_dev)
  EB-NeRD                  articles.parquet, train/behaviors.parquet, train/history.parquet, optional validation/
  MicroLens                MicroLens-*_pairs.csv, MicroLens-*_title_en.csv, optional tags_to_summary.csv and
                           MicroLens-*_covers/ITEM.jpg (clicks only)

A rating of 4 or more (MovieTweetings: 8 of 10) is a click, a lower one an impression without a click. Beside any
layout of films, plots.tsv (movie_id, director, actors, plot) and posters/MOVIE_ID.jpg are taken in where they are
there. Clicks that MIND tells of without a time stand before the user's first impression, a second apart.
"""

EPILOG = """\
OUT is written whole or not at all. Converted before and unchanged since, it is left as it is. A SRC that already is a
dataset folder is only reported. The last line of the output is the folder to use.

examples:
  python -m plugrank_training convert --map log.toml data/shop
  python -m plugrank_training convert ~/downloads/ml-100k data/ml-100k
  python -m plugrank_training train --dataset data/ml-100k --out runs/ml-100k
"""


def add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register it."""
    parser = commands.add_parser(
        "convert",
        help="turn a click log or a download (MovieLens, MIND, EB-NeRD, ...) into a dataset folder",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--map", type=Path, metavar="FILE", help="log.toml: what the columns of any log are")
    parser.add_argument(
        "source", type=Path, nargs="?", metavar="SRC", help="without --map: the downloaded files' folder"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the dataset folder to write")
    parser.add_argument("--quiet", action="store_true", help="no progress bars; print only the folder to use")
    parser.set_defaults(run=run_convert, misused=parser.error)


def run_convert(arguments: argparse.Namespace) -> None:
    """Convert, and print the dataset folder's path as the last line; ends with the usage where no source is clear."""
    if (arguments.map is None) == (arguments.source is None):
        arguments.misused("name a folder SRC, or a map by --map FILE, and then OUT")
    if arguments.map is not None:
        from plugrank_training.data.adapters.log_convert import convert_log

        convert_log(arguments.map, arguments.out, progress=not arguments.quiet)
        print(arguments.out)
        return
    print(convert_any(arguments.source, arguments.out, progress=not arguments.quiet))
