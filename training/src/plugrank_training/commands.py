"""Subcommands that train, make and time bundles.

What they run is imported when they run: torch takes seconds to load, which `--help` need not wait for.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from plugrank_training.data.splits import FOLDS, SPLITS

TRAIN = """\
Trains IDRec (the host, DIN by default) and UniM (PPM plugged into it) on a dataset folder and writes a model bundle.

  1. text and image encoders, then frozen; every item's modal vector
  2. PPM pre-training: clicks from content and labelled history, no ids
  3. IDRec alone, and UniM: the host with the pre-trained PPM plugged in; what else --models names
  4. calibration on the validation part, export, ONNX Runtime checked against torch
  5. the test part: metrics over seeds, slices, paired intervals against IDRec and DCNv2 (training/PROTOCOL.md)

What was trained before is reused: a stage runs again only when the data set, the split, the seed or the part of the
configuration that it reads has changed.
"""

TRAIN_END = """\
written to OUT:
  bundle/                        what `plugrank serve` loads (docs/bundle-format.md)
  bundle-idrec/                  IDRec alone, cut as the unified model is: to compare what both cost
  report.json                    metrics, losses, seconds of every stage
  predictions/MODEL.parquet      every test impression with its calibrated click probability: the mean over seeds, and
                                 one column a seed
  test_reads.json                which model and seed read which test part when
  stages/                        results of the stages, for reuse, and checkpoints; safe to delete

models: lr, deepfm, dcnv2, din, idrec (the host of the configuration), idrec-similarity (with similarity to the history,
no PPM), idrec-vectors (with frozen vectors as a feature), idrec-semantic (with semantic ids), idrec-sequence (with a
pre-trained sequence of ids), ppm (alone), unified, unified-similarity (with similarity in any case); without a network:
popularity, means, cooccurrence, content, cooccurrence-content.

examples:
  python -m plugrank_training train --dataset data/shop --out runs/shop --quick
  python -m plugrank_training train --dataset data/shop --out runs/shop --split items --seeds 5 --models all
  torchrun --nproc-per-node 2 -m plugrank_training train --dataset data/shop --out runs/shop
  python -m plugrank_training train --dataset data/today --out runs/today --from runs/shop/bundle --days 1

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
    parser.add_argument("--fold", type=int, metavar="N", help=f"0 to {FOLDS - 1}: one fold of `items`; default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--models", default="idrec,unified", metavar="LIST", help="default: idrec,unified; or all")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="default: OUT/predictions")
    parser.add_argument("--no-test", action="store_true", help="leave the test part alone, to choose on validation")
    parser.add_argument("--no-bundle", action="store_true", help="measure only: judge and write no bundle")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="of test readings, shared by runs; default: OUT/test_reads.json"
    )
    parser.add_argument("--again", action="store_true", help="score a test part again that other weights have read")
    parser.add_argument(
        "--accept-worse-lists", action="store_true", help="call UniM better by AUC alone, though its lists are worse"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint of an interrupted run")
    parser.add_argument("--from", dest="bundle", type=Path, metavar="BUNDLE", help="go on from a bundle of `train`")
    parser.add_argument("--days", type=int, metavar="N", help="with --from: the newest days to train on")
    parser.add_argument(
        "--allow-absent",
        action="append",
        default=[],
        metavar="NAME",
        help="with --from: a column that the bundle reads and the data lacks; it is missing in every row",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file that overrides defaults")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU where there is one"
    )
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, to try things out")
    parser.set_defaults(run=run_train)


def run_train(arguments: argparse.Namespace) -> None:
    """Run every stage."""
    # Read when torch loads its thread pool. Idle threads that spin cost several times the run where cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from plugrank_training import distributed
    from plugrank_training.config import load_config
    from plugrank_training.device import choose_device
    from plugrank_training.fit.experiment import run_experiment
    from plugrank_training.fit.increment import run_increment
    from plugrank_training.fit.model_names import parse_models
    from plugrank_training.options import Options

    config = load_config(arguments.config)
    if (arguments.bundle is None) != (arguments.days is None):
        raise ValueError("--from BUNDLE and --days N belong together")
    if arguments.days is not None and arguments.days < 1:
        raise ValueError(f"--days {arguments.days}: must be at least 1")
    if arguments.bundle is not None and arguments.config is not None:
        raise ValueError("--config: with --from, the configuration is the bundle's")
    if arguments.bundle is not None and arguments.no_bundle:
        raise ValueError("--no-bundle: with --from, a bundle is what is made")
    if arguments.seeds < 1:
        raise ValueError(f"--seeds {arguments.seeds}: must be at least 1")
    options = Options(
        dataset=arguments.dataset,
        out=arguments.out,
        split=arguments.split,
        salt=arguments.salt,
        fold=arguments.fold,
        seed=arguments.seed,
        device=distributed.start(choose_device(arguments.device)),
        seeds=arguments.seeds,
        models=parse_models(arguments.models),
        predictions=arguments.predictions,
        again=arguments.again,
        ledger=arguments.ledger,
        no_test=arguments.no_test,
        no_bundle=arguments.no_bundle,
        resume=arguments.resume,
        accept_worse_lists=arguments.accept_worse_lists,
        allow_absent=tuple(arguments.allow_absent),
        command=arguments.command,
    )
    try:
        if arguments.bundle is not None:
            run_increment(options, arguments.bundle, arguments.days)
            return
        run_experiment(options, config.quick() if arguments.quick else config)
    finally:
        distributed.stop()


def add_export_tiny(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`export-tiny`."""
    text = "write a small valid bundle with untrained weights, for tests of what serves bundles"
    parser = commands.add_parser("export-tiny", help=text, description=text)
    parser.add_argument("out", type=Path, metavar="OUT", help="the bundle's folder; an older bundle is replaced")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the weights (default: 0)")
    parser.set_defaults(run=run_export_tiny)


def run_export_tiny(arguments: argparse.Namespace) -> None:
    """Write the bundle."""
    from plugrank_training.export.tiny import export_tiny

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
    from plugrank_training.export.benchmark import benchmark, table

    print(table(benchmark(arguments.bundle, arguments.history)))
