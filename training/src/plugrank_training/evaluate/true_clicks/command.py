"""The subcommand `true-clicks`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Lists of a simulated shop's shoppers at a moment, by popularity, by each model and the best possible, and the clicks
that their first ten places would truly get: of all items, each model retrieving its own 300, and of the items that
nobody has clicked. Beside them: distinct items over all shoppers and how far the first 20 of two of them overlap.
"""

EPILOG = """\
`simshop truth DIR --shoppers 100` prints the truth. Models that `train` fitted with the same arguments are found in
OUT/stages, others are fitted; they train on the first 80% of the log, and at its end, where lists are asked for, read
all of it.

  cargo run --release -p plugrank-simshop -- truth shop --shoppers 100 > truth.json
  python -m plugrank_training true-clicks --dataset shop --out runs/shop --truth truth.json
"""


def add_true_clicks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register it."""
    parser = commands.add_parser(
        "true-clicks",
        help="measure the lists of a simulated shop by the clicks they would truly get",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="dataset folder of `simshop`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where `train` put, or puts, results")
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help="what `simshop truth` printed")
    parser.add_argument("--models", default="idrec,unified", metavar="LIST", help="default: idrec,unified")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of training (default: 0)")
    parser.add_argument("--limit", type=int, default=300, metavar="N", help="candidates of a list (default: 300)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file that overrides defaults")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure, write `OUT/true-clicks.json`, print."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from plugrank_training.config import load_config
    from plugrank_training.device import choose_device
    from plugrank_training.durable import write_durably
    from plugrank_training.evaluate.true_clicks.measure import measure, open_scene
    from plugrank_training.evaluate.true_clicks.shop_truth import read_truth
    from plugrank_training.fit.model_names import parse_models
    from plugrank_training.fit.prepare import prepare
    from plugrank_training.fit.refit import served
    from plugrank_training.fit.run import open_run
    from plugrank_training.fit.stages import fit_models
    from plugrank_training.models.registry import NETWORKS
    from plugrank_training.options import Options

    if arguments.limit < 1:
        raise ValueError(f"--limit {arguments.limit}: must be at least 1")
    models = parse_models(arguments.models)
    plain = [name for name in models if name not in NETWORKS]
    if plain:
        raise ValueError(f"--models {','.join(plain)}: only networks make lists")
    options = Options(
        dataset=arguments.dataset,
        out=arguments.out,
        split=None,
        salt="plugrank",
        fold=None,
        seed=arguments.seed,
        device=choose_device(arguments.device),
        models=models,
        no_test=True,
    )
    opened = open_run(options, load_config(arguments.config))
    truth = read_truth(arguments.truth, opened.dataset)
    prepared = prepare(opened, show_groups=False)
    last = served(opened, prepared, fit_models(opened, prepared, models))
    scene = open_scene(last.run, last.prepared, truth, arguments.limit)
    report = measure(scene, last.models, opened.dataset.titles)
    write_durably(arguments.out / "true-clicks.json", (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    print(text_of(report))


def text_of(report: dict[str, Any]) -> str:
    """For the person at the terminal."""
    lines = []
    for shopper in report["contrast"]:
        lines.append(f"\nlikes {shopper['taste']}")
        for name, titles in shopper["lists"].items():
            lines.append(f"  {name:14} " + "; ".join(titles))
    for kind, count in (("all", report["items"]), ("fresh", report["fresh_items"])):
        if not report[kind]:
            continue
        title = "all items" if kind == "all" else "items that nobody has clicked"
        lines.append(f"\n{title} ({count:,}), {report['shoppers']} shoppers: true expected clicks of the first 10")
        for name, row in report[kind].items():
            clicks = row["expected_clicks"]
            way = report["gains"][kind].get("way_to_best", {}).get(name)
            spent = report["milliseconds"].get(name) if kind == "all" else None
            lines.append(
                f"  {name:14} {clicks['value']:.3f} [{clicks['low']:.3f}, {clicks['high']:.3f}]"
                f"  {row['distinct_items']:5,} distinct, first 20 overlap {row['overlap']:4.0%}"
                + ("" if way is None else f", {way:.0%} of the way from popularity")
                + ("" if spent is None else f", {spent:.1f} ms a list")
            )
        if kind == "fresh":
            lines += [f"  at most, {name}: {way:.0%} of the way" for name, way in report["knowable"].items()]
        over = report["gains"][kind].get("over_rival")
        if over is not None:
            lines.append(f"  unified over idrec: {over:+.1%}")
    return "\n".join(lines)
