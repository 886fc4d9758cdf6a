"""Subcommands that train, make and time bundles.

What they run is imported when they run: torch takes seconds to load, which `--help` need not wait for.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from plugrank_training.splits import FOLDS, SPLITS

TRAIN = """\
Trains IDRec (DIN) and UniM (PPM plugged into DIN) on a dataset folder and writes a model bundle.

  1. text and image encoders, then frozen; every item's modal vector
  2. PPM pre-training: clicks from content and labelled history, no ids
  3. IDRec alone, and UniM: the host with the pre-trained PPM plugged in
  4. calibration on the validation part, export, ONNX Runtime checked against torch

What was trained before is reused: a stage runs again only when the data set, the split, the seed or the part of the
configuration that it reads has changed.
"""

TRAIN_END = """\
written to OUT:
  bundle/                        what `plugrank serve` loads (docs/bundle-format.md)
  report.json                    metrics, losses, seconds of every stage
  predictions/idrec.parquet      every test impression with its calibrated click probability
  predictions/unified.parquet    the same of UniM
  stages/                        results of the stages, for reuse; safe to delete

examples:
  python -m plugrank_training train --dataset data/shop --out runs/shop --quick
  python -m plugrank_training train --dataset data/shop --out runs/shop --split items --fold 2 --seed 3

A configuration file overrides single values; unknown keys are errors:
  [ppm]
  epochs = 5
  [unified]
  freeze = ["ppm.projection"]
"""


def add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`train`."""
    parser = commands.add_parser(
        "train",
        help="train IDRec and UniM on a dataset folder and write a bundle",
        description=TRAIN,
        epilog=TRAIN_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--split", choices=SPLITS, help="default: `global`, or `warm` where negatives are matched")
    parser.add_argument("--salt", default="plugrank", help="of the split's hashes (default: plugrank)")
    parser.add_argument("--fold", type=int, metavar="N", help=f"0 to {FOLDS - 1}, for the split `items`")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and batches (default: 0)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file that overrides defaults")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where there is one"
    )
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, to try things out")
    parser.set_defaults(run=run_train)


def run_train(arguments: argparse.Namespace) -> None:
    """Run the pipeline."""
    # Read when torch loads its thread pool. Idle threads that spin cost several times the run where cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from plugrank_training.config import load_config
    from plugrank_training.pipeline import Options, Pipeline, choose_device

    config = load_config(arguments.config)
    options = Options(
        dataset=arguments.dataset,
        out=arguments.out,
        split=arguments.split,
        salt=arguments.salt,
        fold=arguments.fold,
        seed=arguments.seed,
        device=choose_device(arguments.device),
    )
    Pipeline(options, config.quick() if arguments.quick else config).run()


def add_export_tiny(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`export-tiny`."""
    text = "write a small valid bundle with untrained weights, for tests of what serves bundles"
    parser = commands.add_parser("export-tiny", help=text, description=text)
    parser.add_argument("out", type=Path, metavar="OUT", help="the bundle's folder; an older bundle is replaced")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the weights (default: 0)")
    parser.set_defaults(run=run_export_tiny)


def run_export_tiny(arguments: argparse.Namespace) -> None:
    """Write the bundle."""
    from plugrank_training.tiny import export_tiny

    manifest = export_tiny(arguments.out, arguments.seed)
    print(f"{arguments.out}: {manifest['version']}")


def add_benchmark(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`benchmark`."""
    text = "rows per second of a bundle's graphs on ONNX Runtime, one CPU thread"
    parser = commands.add_parser("benchmark", help=text, description=text)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder")
    parser.add_argument("--history", type=int, default=100, metavar="N", help="entries of history (default: 100)")
    parser.set_defaults(run=run_benchmark)


def run_benchmark(arguments: argparse.Namespace) -> None:
    """Print the table."""
    from plugrank_training.benchmark import benchmark, table

    print(table(benchmark(arguments.bundle, arguments.history)))
