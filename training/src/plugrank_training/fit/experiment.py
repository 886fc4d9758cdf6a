"""Several seeds and folds of one run: predictions, metrics with deviations, intervals, the bundle, the report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from plugrank_training.config import Config
from plugrank_training.console import say
from plugrank_training.data.examples import Examples
from plugrank_training.data.loaded import Loaded
from plugrank_training.data.splits import FOLDS, default_split
from plugrank_training.distributed import is_main
from plugrank_training.durable import write_durably
from plugrank_training.evaluate.bootstrap import Resampling, intervals
from plugrank_training.evaluate.calibrate import apply
from plugrank_training.evaluate.metrics import evaluate
from plugrank_training.evaluate.predictions import Scored, write_predictions
from plugrank_training.evaluate.slices import measure, slices_of
from plugrank_training.evaluate.trained import Trained, finite, task_metrics
from plugrank_training.fit.export_stage import export_run
from plugrank_training.fit.prepare import Prepared, prepare
from plugrank_training.fit.refit import Served, served
from plugrank_training.fit.run import Run, open_run
from plugrank_training.fit.stages import FittedModels, fit_models
from plugrank_training.options import Options

# Models that every other one is compared with, where they were fitted.
COMPARED_WITH = ("idrec", "dcnv2", "popularity", "cooccurrence-content", "idrec-similarity")


@dataclass(frozen=True)
class Scope:
    """Which runs an experiment is made of."""

    options: Options
    loaded: Loaded
    split: str
    folds: tuple[int | None, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Outcomes:
    """What all runs gave."""

    # By fold and seed, then by model; without weights, which are on the disk.
    found: dict[tuple[int | None, int], dict[str, Trained]]
    # Test and validation parts of the folds one after another, and masks of slices over them.
    test: Examples
    masks: dict[str, np.ndarray]
    valid: Examples
    valid_masks: dict[str, np.ndarray]
    # What the first run says of rows, models and bundle.
    report: dict[str, Any]


def scope_of(options: Options) -> Scope:
    """Every seed on every fold (one, unless the split is `items` and no fold was chosen)."""
    loaded = Loaded.read(options.dataset, options.out / "stages")
    name = options.split or default_split(loaded.dataset)
    one = name != "items" or options.fold is not None
    folds = (options.fold,) if one else tuple(range(FOLDS))
    return Scope(options, loaded, name, folds, tuple(range(options.seed, options.seed + options.seeds)))


def run_experiment(options: Options, config: Config) -> dict[str, Any]:
    """All of it; gives the report that is also written."""
    started = time.perf_counter()
    scope = scope_of(options)
    outcomes = run_all(scope, config)
    report = outcomes.report
    measured = judge_validation(scope, outcomes)
    if not options.no_test:
        tested = judge(scope, outcomes)
        measured = {name: measured[name] | tested[name] for name in tested}
    report = report | {name: merged(report[name], measured[name]) for name in measured}
    report |= description(scope, config) | {"seconds": round(time.perf_counter() - started, 1)}
    write_report(options, report)
    return report


def merged(told: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """What the first run says of a model, with what all runs say better; of each task by part."""
    tasks = told.get("tasks", {})
    both = {task: one | measured.get("tasks", {}).get(task, {}) for task, one in tasks.items()}
    return told | measured | ({"tasks": both} if both else {})


def run_all(scope: Scope, config: Config) -> Outcomes:
    """Every run; the first one's bundle is exported, unless none is wanted."""
    found: dict[tuple[int | None, int], dict[str, Trained]] = {}
    parts: dict[str, list[tuple[Examples, dict[str, np.ndarray]]]] = {"test": [], "valid": []}
    report: dict[str, Any] = {}
    for fold in scope.folds:
        for seed in scope.seeds:
            first = not found
            if len(scope.folds) * len(scope.seeds) > 1:
                say(f"\n== seed {seed}" + ("" if fold is None else f", fold {fold}"))
            run = open_run(replace(scope.options, fold=fold, seed=seed), config, scope.loaded)
            prepared = prepare(run, show_groups=first)
            fitted = fit_models(run, prepared, scope.options.models)
            last = served(run, prepared, fitted)
            if seed == scope.seeds[0]:
                for name, found_parts in parts.items():
                    examples = getattr(run.split, name)
                    found_parts.append((examples, slices_of_run(run, prepared, examples)))
            if first:
                report = describe(run, fitted, last)
                if "unified" in fitted.models and not run.options.no_bundle and is_main():
                    report["bundle"] = export_run(run, prepared, fitted.models, last)
            # Weights of further runs are on the disk; only what they said is kept.
            found[fold, seed] = {name: replace(one, model=None) for name, one in last.models.items()}
    return Outcomes(found, *joined(parts["test"]), *joined(parts["valid"]), report)


def joined(folds: Sequence[tuple[Examples, dict[str, np.ndarray]]]) -> tuple[Examples, dict[str, np.ndarray]]:
    """Parts of all folds with their masks, one after another."""
    names = folds[0][1]
    masks = {name: np.concatenate([masks[name] for _, masks in folds]) for name in names}
    return Examples.joined([part for part, _ in folds]), masks


def slices_of_run(run: Run, prepared: Prepared, part: Examples) -> dict[str, np.ndarray]:
    """Masks of slices over a run's validation or test part."""
    catalog = prepared.catalog
    present = {name: catalog.present[:, column].cpu().numpy() for column, (name, _) in enumerate(catalog.schema.parts)}
    past, _ = run.history.counts(part.user, part.timestamp)
    return slices_of(run.split, part, len(run.dataset.user_ids), past, present)


def describe(run: Run, fitted: FittedModels, last: Served) -> dict[str, Any]:
    """What the first run says of each model; `judge` replaces what more runs say better."""
    report: dict[str, Any] = {"rows": {part: len(getattr(run.split, part)) for part in ("train", "valid", "test")}}
    if run.split.left_out:
        report["left_out"] = run.split.left_out
    if fitted.ppm is not None:
        report["ppm"] = fitted.ppm.report
    for name, one in last.models.items():
        report[name] = report.get(name, {}) | one.report
    return report


def judge_validation(scope: Scope, outcomes: Outcomes) -> dict[str, dict[str, Any]]:
    """Metrics of the validation part over seeds, folds pooled, and by slice; by model. What choices are made by."""
    valid = outcomes.valid
    measured: dict[str, dict[str, Any]] = {}
    for name in scope.options.models:
        by_seed = []
        for seed in scope.seeds:
            each = [outcomes.found[fold, seed][name] for fold in scope.folds]
            by_seed.append(np.concatenate([apply(one.calibration, one.valid) for one in each]))
        rows = [evaluate(valid.user, valid.label, scores) for scores in by_seed]
        slices = [measure(outcomes.valid_masks, valid.user, valid.label, scores) for scores in by_seed]
        measured[name] = {
            "valid": finite(mean_over(rows)),
            "valid_deviation": finite({key: deviation([row[key] for row in rows]) for key in rows[0]}),
            "valid_slices": {
                part: finite(mean_over([one[part] for one in slices])) | {"rows": slices[0][part]["rows"]}
                for part in slices[0]
            },
        }
    return measured


def mean_over(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def judge(scope: Scope, outcomes: Outcomes) -> dict[str, dict[str, Any]]:
    """Pool folds, average seeds, measure, compare, write predictions; by model."""
    options, test = scope.options, outcomes.test
    scored: dict[str, Scored] = {}
    for name in options.models:
        by_seed = [
            np.concatenate([outcomes.found[fold, seed][name].probability() for fold in scope.folds])
            for seed in scope.seeds
        ]
        first = outcomes.found[scope.folds[0], scope.seeds[0]][name]
        further = {task: task_scores(scope, outcomes, name, task) for task in first.further}
        scored[name] = Scored(test, np.stack(by_seed), scope.seeds, further)
    folder = options.predictions or options.out / "predictions"
    measured: dict[str, dict[str, Any]] = {}
    for name, one in scored.items():
        each = [evaluate(test.user, test.label, scores) for scores in one.by_seed]
        slices = measure(outcomes.masks, test.user, test.label, one.mean)
        measured[name] = {
            "test": finite(mean_over(each)),
            "test_deviation": finite({key: deviation([row[key] for row in each]) for key in each[0]}),
            "slices": {part: finite(values) for part, values in slices.items()},
        }
        for task, of_seeds in one.further.items():
            rows = [task_metrics(test, task, probability) for probability in of_seeds]
            told = {key: mean_of([row[key] for row in rows]) for key in rows[0]}
            measured[name].setdefault("tasks", {})[task] = {"test": told}
        if is_main():
            write_predictions(one, scope.loaded.dataset, folder / f"{name}.parquet")
    member = test.item if scope.split == "items" else test.user
    baselines = [name for name in COMPARED_WITH if name in scored]
    if baselines:
        resampling = Resampling(test.user, test.label, member)
        drawn = {name: resampling.measure(one.by_seed, progress=is_main()) for name, one in scored.items()}
    for baseline in baselines:
        for name in (name for name in scored if name != baseline):
            found = intervals(drawn[name], drawn[baseline])
            measured[name].setdefault("against", {})[baseline] = {
                metric: finite(asdict(interval)) for metric, interval in found.items()
            }
    return measured


def task_scores(scope: Scope, outcomes: Outcomes, name: str, task: str) -> np.ndarray:
    """A model's probabilities of a further task over the pooled test parts, f64 `[seeds, n]`."""
    seeds = []
    for seed in scope.seeds:
        parts = [outcomes.found[fold, seed][name].further[task].probability() for fold in scope.folds]
        seeds.append(np.concatenate([part for part in parts if part is not None]))
    return np.stack(seeds)


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None where it is not defined of one."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def description(scope: Scope, config: Config) -> dict[str, Any]:
    """What was run, and with which configuration: `report` measures with it again."""
    options = scope.options
    return {
        "dataset": scope.loaded.dataset.meta.name,
        "split": scope.split,
        "salt": options.salt,
        "fold": options.fold,
        "folds": len(scope.folds),
        "seed": options.seed,
        "seeds": list(scope.seeds),
        "models": list(options.models),
        "device": str(options.device),
        "command": options.command,
        "config": asdict(config),
    }


def write_report(options: Options, report: dict[str, Any]) -> None:
    """Write `OUT/report.json` and print what matters of it."""
    if is_main():
        text = json.dumps(report, indent=1, allow_nan=False)
        write_durably(options.out / "report.json", (text + "\n").encode())
    part = "valid" if options.no_test else "test"
    say("\n" + result_table(part, {name: report[name] for name in options.models}))
    if "bundle" in report:
        say(f"\nbundle: {options.out / 'bundle'} ({report['bundle']['version']})")


def deviation(values: list[float]) -> float:
    """Standard deviation over seeds; 0 for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def result_table(part: str, reports: dict[str, dict[str, Any]]) -> str:
    """Metrics of models, a line each, with the gain over IDRec and its interval where there is one."""
    names = list(next(iter(reports.values()))[part])
    width = max(10, *(len(f"{m}, {t}") + 2 for m, one in reports.items() for t in ["", *one.get("tasks", {})]))
    head = f"{part:{width}}" + "".join(f"{name:>20}" for name in names) + "  AUC over idrec"

    def cell(value: float | None) -> str:
        return f"{'-':>20}" if value is None else f"{value:20.4f}"

    lines = []
    rows = [(model, report, report[part]) for model, report in reports.items()]
    rows += [
        (f"{model}, {task}", {}, told[part])
        for model, report in reports.items()
        for task, told in report.get("tasks", {}).items()
        if part in told
    ]
    for model, report, metrics in rows:
        gain = report.get("against", {}).get("idrec", {}).get("auc")
        said = f"  {gain['difference']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]" if gain else ""
        reads = report.get("test_reads", 0)
        again = f"  (test read {reads} times)" if part == "test" and reads > 1 else ""
        lines.append(f"{model:{width}}" + "".join(cell(metrics[name]) for name in names) + said + again)
    return "\n".join([head, *lines])
