"""`python -m plugrank_training`: one subcommand for each thing the package does.

A subcommand is a function that takes argparse's subparsers, adds its parser and sets `run`, a function of the parsed
arguments. To add one, write it beside what it runs and name it in `REGISTER`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from plugrank_training.commands import add_benchmark, add_export_tiny, add_train
from plugrank_training.data.convert_command import add_convert
from plugrank_training.evaluate.lists.command import add_lists, add_sources
from plugrank_training.evaluate.parity import add_parity, add_sample_predictions
from plugrank_training.evaluate.rung import add_rung
from plugrank_training.evaluate.true_clicks.command import add_true_clicks
from plugrank_training.export.wrap import add_wrap
from plugrank_training.report.command import add_report

Register = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]
REGISTER: tuple[Register, ...] = (
    add_convert,
    add_train,
    add_wrap,
    add_parity,
    add_sample_predictions,
    add_rung,
    add_lists,
    add_sources,
    add_true_clicks,
    add_export_tiny,
    add_benchmark,
    add_report,
)

DESCRIPTION = "Plugrank's training side: from a data set to a model bundle that `plugrank serve` loads."

EPILOG = "Each command explains itself: python -m plugrank_training COMMAND --help"


def make_parser() -> argparse.ArgumentParser:
    """The parser with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="python -m plugrank_training",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--traceback", action="store_true", help="on an error, show where in the code it was raised")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for register in REGISTER:
        register(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; gives the exit status: 0, 1 for bad input, 130 when interrupted (argparse ends with 2)."""
    parsed = make_parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    parsed.command = shlex.join(["python", "-m", "plugrank_training", *given])
    try:
        parsed.run(parsed)
    except (ValueError, OSError) as error:
        if parsed.traceback:
            raise
        print(f"error: {error}\n(--traceback before the command shows where it was raised)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
