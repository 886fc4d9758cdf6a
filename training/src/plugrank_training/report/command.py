"""The subcommand `report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Writes one page, report.html, that needs nothing else, and its numbers, report.json, from runs of `train`, for a reader
who believes nothing: every row on the same impressions with deviations, what UniM has over each with intervals over
seeds and users, the lists that `lists` measured, what each part adds, what training cost, slices; each with the
command that measured it. Of a run with --no-test it shows the validation part. With --dataset it also measures, for the
first run:

  miss        AUC against the share of items whose vectors are missing, over all seeds of the run
  history     quality against the pre-training window (trains UniM once for each length)
  iteration   seconds per 1M examples and peak memory of IDRec, UniM with cached vectors, with PPM's lower layers or all
              of it frozen and cached
  end-to-end  iteration, and UniM end to end: its encoders running and training on every batch's items, which takes
              minutes a batch with a published text encoder
  serving     ms and rows per second of IDRec, UniM cached, UniM without any cache
"""
MEASUREMENTS = ("miss", "history", "iteration", "end-to-end", "serving")


def add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`report`."""
    parser = commands.add_parser(
        "report",
        help="one HTML page, and JSON, of what runs of `train` measured",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders that `train --out` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the page goes")
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="the first run's dataset folder: measure too")
    parser.add_argument("--measure", default=",".join(MEASUREMENTS), metavar="LIST", help="default: all")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="N", help="of each timing (default: 10)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run_report)


def run_report(arguments: argparse.Namespace) -> None:
    """Measure, and write the page."""
    from plugrank_training.durable import write_durably
    from plugrank_training.report.page import page

    wanted = [name.strip() for name in arguments.measure.split(",") if name.strip()]
    for name in wanted:
        if name not in MEASUREMENTS:
            raise ValueError(f"--measure: no measurement `{name}`; there are: {', '.join(MEASUREMENTS)}")
    if arguments.seconds <= 0:
        raise ValueError(f"--seconds {arguments.seconds}: must be above 0")
    runs = {name: read_run(folder) for name, folder in zip(names_of(arguments.runs), arguments.runs, strict=True)}
    lists = {name: read_lists(folder) for name, folder in zip(runs, arguments.runs, strict=True)}
    content: dict[str, Any] = {"runs": runs, "lists": lists, "measured": {}}
    if arguments.dataset is not None:
        content["measured"][next(iter(runs))] = measure(arguments, wanted)
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_durably(arguments.out / "report.json", text.encode())
    write_durably(arguments.out / "report.html", page(content).encode())
    print(f"written: {arguments.out / 'report.html'}")


def names_of(folders: list[Path]) -> list[str]:
    """Names of runs: their folders', the whole path where two are the same."""
    short = [folder.name for folder in folders]
    return short if len(set(short)) == len(short) else [folder.as_posix() for folder in folders]


def read_run(folder: Path) -> dict[str, Any]:
    """A run's report."""
    try:
        found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: no report.json of `train --out`: {error}") from error
    return found


def read_lists(folder: Path) -> list[dict[str, Any]]:
    """What `lists` measured of a run: of the test part where it did, else of the validation part."""
    for part in ("lists", "lists-valid"):
        files = [folder / f"{part}{suffix}.json" for suffix in ("", "-rolling")]
        found = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
        if found:
            return found
    return []


def measure(arguments: argparse.Namespace, wanted: list[str]) -> dict[str, Any]:
    """What the first run's models do beyond quality; its stages are found again on disk."""
    from plugrank_training.config import Config, from_mapping
    from plugrank_training.data.loaded import Loaded
    from plugrank_training.device import choose_device
    from plugrank_training.fit.increment import Past
    from plugrank_training.fit.prepare import prepare
    from plugrank_training.fit.run import open_run
    from plugrank_training.options import DEFAULT_MODELS, Options
    from plugrank_training.report.curves import longer_history, miss_tolerance
    from plugrank_training.report.efficiency import iteration_efficiency
    from plugrank_training.report.serving import serving_cost

    folder: Path = arguments.runs[0]
    told = read_run(folder)
    if "serving" in wanted and not (folder / "bundle" / "manifest.json").is_file():
        raise ValueError(
            f"{folder}: has no bundle (--no-bundle), whose serving could be measured; leave `serving` out of --measure"
        )
    fold = 0 if told["split"] == "items" and told["fold"] is None else told["fold"]
    options = Options(
        arguments.dataset,
        folder,
        told["split"],
        told["salt"],
        fold,
        told["seed"],
        choose_device(arguments.device),
        # Of `train --from`, whose reports lack them: none beside the two that are always measured.
        models=tuple(told.get("models", DEFAULT_MODELS)),
    )
    loaded = Loaded.read(arguments.dataset, folder / "stages")
    # `train --from` has its configuration from the bundle.
    config = from_mapping(Config, told["config"]) if "config" in told else Past.read(folder / "bundle").config
    run = open_run(options, config, loaded)
    prepared = prepare(run, show_groups=False)
    found: dict[str, Any] = {}
    if "serving" in wanted:
        found["serving"] = serving_cost(folder / "bundle", seconds=min(arguments.seconds, 5.0))
    if "miss" in wanted:
        found["miss_tolerance"] = miss_tolerance(run, loaded, told["seeds"])
    if "history" in wanted:
        found["longer_history"] = longer_history(run, loaded)
    if "iteration" in wanted or "end-to-end" in wanted:
        # Last: it may train the run's encoders along.
        found["iteration"] = iteration_efficiency(run, prepared, arguments.seconds, "end-to-end" in wanted)
    return found
