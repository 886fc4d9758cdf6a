"""Several seeds and folds of one run: predictions, metrics with deviations, intervals, the bundle, the report."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from plugrank_training.bootstrap import Compared, paired_intervals
from plugrank_training.config import Config
from plugrank_training.console import say
from plugrank_training.distributed import is_main
from plugrank_training.durable import write_durably
from plugrank_training.examples import Examples
from plugrank_training.loaded import Loaded
from plugrank_training.metrics import evaluate
from plugrank_training.options import Options
from plugrank_training.pipeline import Pipeline
from plugrank_training.predictions import Scored, write_predictions
from plugrank_training.slices import measure, slices_of
from plugrank_training.splits import FOLDS, default_split
from plugrank_training.trained import Trained, finite

# Models that every other one is compared with, where they were fitted.
BASELINES = ("idrec", "dcnv2")


def pool(parts: list[Examples]) -> Examples:
    """Test parts of several folds, one after another."""
    names = ("user", "item", "timestamp", "label")
    return Examples(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Experiment:
    """Every seed on every fold (one, unless the split is `items` and no fold was chosen)."""

    def __init__(self, options: Options, config: Config) -> None:
        self.options, self.config = options, config
        self.started = time.perf_counter()
        self.loaded = Loaded.read(options.dataset, options.out / "stages")
        self.name = options.split or default_split(self.loaded.dataset)
        one = self.name != "items" or options.fold is not None
        self.folds: list[int | None] = [options.fold] if one else list(range(FOLDS))
        self.seeds = tuple(range(options.seed, options.seed + options.seeds))
        self.report: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """All of it; gives the report that is also written."""
        found: dict[tuple[int | None, int], dict[str, Trained]] = {}
        tests: list[Examples] = []
        masks: list[dict[str, np.ndarray]] = []
        for fold in self.folds:
            for seed in self.seeds:
                first = not found
                if len(self.folds) * len(self.seeds) > 1:
                    say(f"\n== seed {seed}" + ("" if fold is None else f", fold {fold}"))
                pipeline = Pipeline(replace(self.options, fold=fold, seed=seed), self.config, self.loaded)
                catalog = pipeline.prepare(show_groups=first)
                trained = pipeline.run(catalog)
                if seed == self.seeds[0]:
                    tests.append(pipeline.split.test)
                    present = {
                        name: catalog.present[:, column].cpu().numpy()
                        for column, (name, _) in enumerate(catalog.schema.parts)
                    }
                    data = self.loaded.dataset
                    masks.append(slices_of(pipeline.split, len(data.item_ids), len(data.user_ids), present))
                if first:
                    self.describe(pipeline, trained)
                    if "unified" in trained and is_main():
                        self.report["bundle"] = pipeline.export(catalog, trained)
                # Weights of further runs are on the disk; only what they said is kept.
                found[fold, seed] = {name: replace(one, model=None) for name, one in trained.items()}
        if not self.options.no_test:
            self.judge(found, pool(tests), {k: np.concatenate([m[k] for m in masks]) for k in masks[0]})
        return self.finish()

    def describe(self, pipeline: Pipeline, trained: dict[str, Trained]) -> None:
        """What the first run says of each model; `judge` replaces what more runs say better."""
        rows = {part: len(getattr(pipeline.split, part)) for part in ("train", "valid", "test")}
        self.report["rows"] = rows
        if "ppm" in pipeline.report:
            self.report["ppm"] = pipeline.report["ppm"]
        for name, one in trained.items():
            self.report[name] = self.report.get(name, {}) | one.report

    def judge(
        self,
        found: dict[tuple[int | None, int], dict[str, Trained]],
        test: Examples,
        masks: dict[str, np.ndarray],
    ) -> None:
        """Pool folds, average seeds, measure, compare, write predictions."""
        scored: dict[str, Scored] = {}
        for name in self.options.models:
            by_seed = [
                np.concatenate([found[fold, seed][name].probability() for fold in self.folds]) for seed in self.seeds
            ]
            scored[name] = Scored(test, np.stack(by_seed), self.seeds)
        folder = self.options.predictions or self.options.out / "predictions"
        for name, one in scored.items():
            each = [evaluate(test.user, test.label, scores) for scores in one.by_seed]
            self.report[name] |= {
                "test": finite({key: float(np.mean([row[key] for row in each])) for key in each[0]}),
                "test_deviation": finite({key: deviation([row[key] for row in each]) for key in each[0]}),
                "slices": {
                    part: finite(values) for part, values in measure(masks, test.user, test.label, one.mean).items()
                },
            }
            if is_main():
                write_predictions(one, self.loaded.dataset, folder / f"{name}.parquet")
        member = test.item if self.name == "items" else test.user
        for baseline in (name for name in BASELINES if name in scored):
            for name in (name for name in scored if name != baseline):
                compared = Compared(test.user, test.label, scored[baseline].mean, scored[name].mean)
                intervals = paired_intervals(compared, member, progress=is_main())
                self.report[name].setdefault("against", {})[baseline] = {
                    metric: finite(asdict(interval)) for metric, interval in intervals.items()
                }

    def finish(self) -> dict[str, Any]:
        """Write the report and print what matters of it."""
        options = self.options
        self.report |= {
            "dataset": self.loaded.dataset.meta.name,
            "split": self.name,
            "salt": options.salt,
            "fold": options.fold,
            "folds": len(self.folds),
            "seed": options.seed,
            "seeds": list(self.seeds),
            "models": list(options.models),
            "device": str(options.device),
            "seconds": round(time.perf_counter() - self.started, 1),
        }
        if is_main():
            text = json.dumps(self.report, indent=1, allow_nan=False)
            write_durably(options.out / "report.json", (text + "\n").encode())
        part = "valid" if options.no_test else "test"
        say("\n" + result_table(part, {name: self.report[name] for name in options.models}))
        if "bundle" in self.report:
            say(f"\nbundle: {options.out / 'bundle'} ({self.report['bundle']['version']})")
        return self.report


def deviation(values: list[float]) -> float:
    """Standard deviation over seeds; 0 for one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def result_table(part: str, reports: dict[str, dict[str, Any]]) -> str:
    """Metrics of models, a line each, with the gain over IDRec and its interval where there is one."""
    names = list(next(iter(reports.values()))[part])
    width = max(10, *(len(model) + 2 for model in reports))
    head = f"{part:{width}}" + "".join(f"{name:>20}" for name in names) + "  AUC over idrec"

    def cell(value: float | None) -> str:
        return f"{'-':>20}" if value is None else f"{value:20.4f}"

    lines = []
    for model, report in reports.items():
        gain = report.get("against", {}).get("idrec", {}).get("auc")
        said = f"  {gain['difference']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]" if gain else ""
        reads = report.get("test_reads", 0)
        again = f"  (test read {reads} times)" if part == "test" and reads > 1 else ""
        lines.append(f"{model:{width}}" + "".join(cell(report[part][name]) for name in names) + said + again)
    return "\n".join([head, *lines])
