"""Networks trained once more, with the validation part among what they learn from.

The first fit says how long to train, calibrates and is judged on the validation part; the level of the calibration is
the refit's own. What is then scored on the test
part, listed or exported has read all that came before the test part, as popularity and histories have: else a model
knows the newest items of the log by nothing but their content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from plugrank_training.console import say
from plugrank_training.data.examples import Examples
from plugrank_training.evaluate.trained import Trained
from plugrank_training.fit.frozen_cache import FrozenCache
from plugrank_training.fit.prepare import Prepared, prepare
from plugrank_training.fit.run import Run
from plugrank_training.fit.stages import (
    FittedModels,
    Pretrained,
    made_network,
    part_logits,
    pretrain_plugin,
    test_logits,
)
from plugrank_training.models.registry import NETWORKS, Plugin
from plugrank_training.stage_cache import fingerprint


@dataclass(frozen=True)
class Served:
    """What is scored on the test part, listed and exported: of a refit, or of the only fit."""

    run: Run
    prepared: Prepared
    models: dict[str, Trained]


def served(run: Run, prepared: Prepared, fitted: FittedModels) -> Served:
    """The refit of a run's networks where `unified.refit` asks for one, else what was fitted."""
    return refit(run, prepared, fitted) if run.config.unified.refit else Served(run, prepared, fitted.models)


def refit(run: Run, prepared: Prepared, fitted: FittedModels) -> Served:
    """Train every network of `fitted` again. Raises `ValueError` where validation asks for items that are hidden."""
    if run.split.exclude_items is not None:
        raise ValueError(f"unified.refit: the split `{run.split.name}` hides the items of its validation part")
    again = longer_run(run, fitted)
    # What items look like does not change: encoders stay.
    made = prepare(again, show_groups=False, encoders=prepared.encoders)
    say(f"refit on {len(again.split.train):,} rows, those of validation among them")
    plugins: dict[Plugin, Pretrained] = {}
    models: dict[str, Trained] = {}
    for name, first in fitted.models.items():
        if first.model is None:
            models[name] = first
            continue
        network = NETWORKS[name]
        if network.plugin is not None and network.plugin not in plugins:
            plugins[network.plugin] = pretrain_plugin(again, made, network.plugin)
        plugin = plugins[network.plugin] if network.plugin is not None else None
        model, key, report = made_network(again, made, name, plugin)
        valid = part_logits(again, made, name, model, key, "valid")
        test = None if run.options.no_test else test_logits(again, made, name, model, key)
        reads = {"test_reads": run.ledger.readings(run.split_key, name, run.options.seed)}
        told = {"refit": report["fit"]} | {key: report[key] for key in ("list_level",) if key in report}
        models[name] = first.refitted(model.cpu().eval(), (valid, test), run.split, told | reads)
    return Served(again, made, models)


def longer_run(run: Run, fitted: FittedModels) -> Run:
    """The run with validation rows in its training part; each fit stops where validation said."""
    stops = {name: best_evaluation(one.report) for name, one in fitted.models.items() if one.model is not None}
    stops |= {plugin.name: best_evaluation(one.report) for plugin, one in fitted.plugins.items()}
    return replace(
        run,
        split=replace(run.split, train=in_order([run.split.train, run.split.valid])),
        frozen=FrozenCache(run.cache.folder, fingerprint(run.split_key, stops)),
        stops=stops,
    )


def best_evaluation(report: Mapping[str, Any]) -> int:
    """The number, from 1, of the evaluation that was best; 0 of what did not train on rows."""
    losses: Sequence[float] = report["fit"]["valid_loss"]
    return int(np.argmin(losses)) + 1 if losses else 0


def in_order(parts: Sequence[Examples]) -> Examples:
    """Rows of all parts by time, as a part is sorted; equal times keep their order."""
    joined = Examples.joined(parts)
    order = np.argsort(joined.timestamp, kind="stable")
    return joined.take(order)
