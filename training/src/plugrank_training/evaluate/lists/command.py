"""The subcommand `lists`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from plugrank_training.data.splits import FOLDS, SPLITS

DESCRIPTION = """\
Replays users of a later part as the served pipeline would have answered them: candidates from retrieval's sources as
the catalog and the log stood when the part began, ranked by each model; what a user clicked from then on are the hits.
Reports recall@20 and @100, NDCG@20, what share is clicked of the first 20 that the user was then shown (clicked@20;
recall is also about what gets shown), coverage of the catalog, share and calibration of cold items, and all of it by
source, with intervals over seeds and users (1,000 draws), and what `unified` has over each other row, paired.

Rows: popularity (clicks), recent and latest popularity (clicks with a half-life of 30 and of 7 days), co-visitation,
retrieval's own order, and the networks of --models. Each with its own retrieval (`ann` by the model's own item vectors;
popularity over the whole catalog) and with one fixed candidate set (`ann` by the frozen encoders' vectors, the same for
all).
"""

EPILOG = """\
Models that `train` fitted with the same arguments are found in OUT/stages, others are fitted. The validation part is
for choosing; each model and seed reads the test part once (OUT/test_reads.json), like `train`.

With --url nothing is trained: a running server is asked (POST /v1/rank) for the same users at the same moments, and its
lists are measured, with popularity and co-visitation beside them.

  python -m plugrank_training lists --dataset data/shop --out runs/shop --seeds 5 --part test
  python -m plugrank_training lists --dataset data/shop --out runs/served --part test --url http://127.0.0.1:8080
"""

SOURCES = """\
Of what users of the validation part click later, the share among the first 20, 100 and 300 that each source of
retrieval names when the part begins, and that all of them merged name (nearest neighbours aside, which need a model's
vectors): for the served order of popular items and for others, with the difference to the served one and its interval
over users (1,000 draws).
"""


def add_lists(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register it."""
    parser = commands.add_parser(
        "lists",
        help="measure the lists that users would have been served",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where `train` put, or puts, results")
    parser.add_argument("--part", choices=("valid", "test"), default="valid", help="default: valid")
    parser.add_argument(
        "--moments",
        choices=("cut", "rolling"),
        default="cut",
        help="cut (default): one list a user when the part begins; rolling: up to 8 at moments of their own clicks",
    )
    parser.add_argument("--models", default="idrec,idrec-similarity,unified", metavar="LIST")
    parser.add_argument("--split", choices=SPLITS, help="default: `global`, or `warm` where negatives are matched")
    parser.add_argument("--salt", default="plugrank", help="of the split's hashes (default: plugrank)")
    parser.add_argument("--fold", type=int, metavar="N", help=f"of the split `items`, 0 to {FOLDS - 1}")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--users", type=int, metavar="N", help="at most so many users, evenly spread (default: all)")
    parser.add_argument("--limit", type=int, default=300, metavar="N", help="candidates of a request (default: 300)")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="of test readings, shared by runs; default: OUT/test_reads.json"
    )
    parser.add_argument("--again", action="store_true", help="read a test part again that other weights have read")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file that overrides defaults")
    parser.add_argument("--url", metavar="URL", help="ask this server instead of ranking here")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run)


def add_sources(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `sources`."""
    parser = commands.add_parser(
        "sources",
        help="measure what retrieval's sources find, by how popular items are ordered",
        description=SOURCES,
        epilog="  python -m plugrank_training sources --dataset data/shop",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--split", choices=SPLITS, help="default: `global`, or `warm` where negatives are matched")
    parser.add_argument("--salt", default="plugrank", help="of the split's hashes (default: plugrank)")
    parser.add_argument("--fold", type=int, metavar="N", help=f"of the split `items`, 0 to {FOLDS - 1}")
    parser.add_argument("--users", type=int, metavar="N", help="at most so many users, evenly spread (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the report as well")
    parser.set_defaults(run=run_sources)


def run_sources(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    from plugrank_training.data.dataset import Dataset
    from plugrank_training.data.splits import default_split, make_split
    from plugrank_training.durable import write_durably
    from plugrank_training.evaluate.lists.sources import measure_sources, sources_table

    at_least_one_user(arguments.users)
    data = Dataset.load(arguments.dataset)
    split = make_split(data, arguments.split or default_split(data), arguments.salt, arguments.fold)
    report = measure_sources(data, split, arguments.users)
    if arguments.json is not None:
        write_durably(arguments.json, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    print(sources_table(report))


def at_least_one_user(users: int | None) -> None:
    """Refuse `--users` of nobody."""
    if users is not None and users < 1:
        raise ValueError(f"--users {users}: must be at least 1")


def run(arguments: argparse.Namespace) -> None:
    """Replay, write `OUT/lists.json` (of the validation part `lists-valid.json`), print the tables."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from plugrank_training.config import load_config
    from plugrank_training.device import choose_device
    from plugrank_training.durable import write_durably
    from plugrank_training.evaluate.lists.experiment import run_lists
    from plugrank_training.evaluate.lists.replayed_run import ListOptions
    from plugrank_training.evaluate.lists.retrieval import RetrievalOptions
    from plugrank_training.evaluate.lists.served import served_lists
    from plugrank_training.fit.model_names import parse_models
    from plugrank_training.options import Options

    if arguments.seeds < 1:
        raise ValueError(f"--seeds {arguments.seeds}: must be at least 1")
    if arguments.limit < 1:
        raise ValueError(f"--limit {arguments.limit}: must be at least 1")
    options = Options(
        dataset=arguments.dataset,
        out=arguments.out,
        split=arguments.split,
        salt=arguments.salt,
        fold=arguments.fold,
        seed=arguments.seed,
        device=choose_device(arguments.device),
        seeds=arguments.seeds,
        models=parse_models(arguments.models),
        again=arguments.again,
        ledger=arguments.ledger,
        command=arguments.command,
    )
    at_least_one_user(arguments.users)
    retrieval = RetrievalOptions(limit=arguments.limit)
    lists = ListOptions(arguments.part, arguments.moments, arguments.users, retrieval)
    name = "lists" if arguments.part == "test" else "lists-valid"
    file = arguments.out / f"{name}{'' if arguments.moments == 'cut' else '-rolling'}.json"
    if arguments.url:
        reports = iter([served_lists(options, lists, arguments.url)])
    else:
        reports = run_lists(options, load_config(arguments.config), lists)
    for report in reports:
        # After each seed: a long run that is stopped leaves what it has measured.
        write_durably(file, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
        print(text_of(report), flush=True)


def text_of(report: dict[str, Any]) -> str:
    """The measurements as text for the terminal."""
    from plugrank_training.evaluate.lists.table import list_table, row_table, source_table

    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report["left_out"].items())
    parts = [
        f"\nseeds {report['seeds']}: {report['requests']:,} lists of {report['users']:,} users "
        f"({report['users_without_past_clicks']:,} without a click before), {report['later_clicks']:,} later clicks, "
        f"{report['items']:,} items; left out: {left_out}"
    ]
    for kind, title in (("own", "each with its own retrieval"), ("fixed", "one candidate set for all")):
        if any(kind in row for row in report["rows"].values()):
            parts.append(f"{title}\n{list_table(report, kind)}\n\n{source_table(report, kind)}")
    if report.get("valid"):
        parts.append(row_table(report))
    return "\n\n".join(parts)
