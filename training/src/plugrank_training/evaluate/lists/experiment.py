"""Lists of all models over seeds, for one part of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from plugrank_training.config import Config
from plugrank_training.console import say
from plugrank_training.data.loaded import Loaded
from plugrank_training.evaluate.lists.context import Context
from plugrank_training.evaluate.lists.metrics import RankedLists
from plugrank_training.evaluate.lists.replay import RETRIEVALS, fixed_candidates, replay_networks
from plugrank_training.evaluate.lists.replayed_run import ListOptions, open_replay
from plugrank_training.evaluate.lists.rows import PLAIN, plain_lists
from plugrank_training.evaluate.lists.summary import difference, retrieved, summary
from plugrank_training.fit.prepare import prepare
from plugrank_training.fit.refit import served
from plugrank_training.fit.run import open_run
from plugrank_training.fit.stages import fit_models, fitted_key
from plugrank_training.models.registry import NETWORKS
from plugrank_training.options import Options

# The row that others are compared with.
MAIN = "unified"
# Of the validation part's impressions, beside the lists.
ROW_METRICS = ("auc", "gauc", "centred_auc", "log_loss")


def run_lists(options: Options, config: Config, lists: ListOptions) -> Iterator[dict[str, Any]]:
    """Fit (or find) the models of every seed and replay them; gives a report after each seed, of all until then."""
    loaded = Loaded.read(options.dataset, options.out / "stages")
    networks = [name for name in options.models if name in NETWORKS]
    seeds = tuple(range(options.seed, options.seed + options.seeds))
    found: dict[tuple[str, str], list[RankedLists]] = {}
    recall: dict[tuple[str, str], list[dict[str, float]]] = {}
    valid: dict[str, list[dict[str, float | None]]] = {}
    for number, seed in enumerate(seeds, start=1):
        say(f"\n== seed {seed}")
        run = open_run(replace(options, seed=seed, no_test=True), config, loaded)
        prepared = prepare(run, show_groups=False)
        fitted = fit_models(run, prepared, networks)
        models = fitted.models
        for name, one in models.items():
            valid.setdefault(name, []).append(one.report["valid"])
        if lists.part == "test":
            last = served(run, prepared, fitted)
            run, prepared, models = last.run, last.prepared, last.models
            for name in networks:
                key = f"{fitted_key(run, name)}-{lists.moments}"
                run.ledger.read(run.split_key, f"lists:{lists.moments}:{name}", seed, key)
        replay, context = open_replay(run, prepared, lists)
        fixed = fixed_candidates(replay)
        wanted = replay.requests.requests
        if not found:
            own = plain_lists(replay.retrieval, wanted, replay.retrieve(None), whole=True)
            found |= {(name, "own"): [made] for name, made in own.items()}
        # Encoders that train have a seed of their own, and so has what they retrieve.
        for name, made in plain_lists(replay.retrieval, wanted, fixed, whole=False).items():
            found.setdefault((name, "fixed"), []).append(made)
        recall.setdefault(("retrieval order", "fixed"), []).append(retrieved(fixed, wanted))
        seed_lists = replay_networks(replay, models, fixed)
        for row, made in seed_lists.lists.items():
            found.setdefault(row, []).append(made)
            recall.setdefault(row, []).append(retrieved(seed_lists.candidates[row], replay.requests.requests))
        yield report(options, lists, seeds[:number], context, found, recall) | {"valid": of_rows(valid)}


def of_rows(valid: dict[str, list[dict[str, float | None]]]) -> dict[str, dict[str, dict[str, float]]]:
    """What each model makes of the impressions of the validation part: metrics that are defined for every seed, mean
    and deviation over seeds."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, rows in valid.items():
        found[name] = {}
        for metric in ROW_METRICS:
            known = [value for row in rows if (value := row[metric]) is not None]
            if len(known) == len(rows):
                spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
                found[name][metric] = {"value": float(np.mean(known)), "deviation": spread}
    return found


def report(
    options: Options,
    lists: ListOptions,
    seeds: Sequence[int],
    context: Context,
    found: dict[tuple[str, str], list[RankedLists]],
    recall: dict[tuple[str, str], list[dict[str, float]]],
) -> dict[str, Any]:
    """All that was measured, as JSON."""
    rows: dict[str, dict[str, Any]] = {}
    for (name, kind), each in found.items():
        told = summary(each, context)
        if (name, kind) in recall:
            told["retrieved"] = {
                source: float(np.mean([one[source] for one in recall[name, kind]])) for source in recall[name, kind][0]
            }
        rows.setdefault(name, {})[kind] = told
    against = {
        name: {
            kind: difference(found[MAIN, kind], repeated(found[name, kind], len(seeds)), context) for kind in RETRIEVALS
        }
        for name in rows
        if name != MAIN and (MAIN, "own") in found
    }
    return describe_requests(lists, context) | {
        "command": options.command,
        "seeds": list(seeds),
        "models": [*PLAIN, *(name for name in options.models if name in NETWORKS)],
        "rows": rows,
        f"{MAIN}_over": against,
    }


def describe_requests(lists: ListOptions, context: Context) -> dict[str, Any]:
    """Users with a request, and users left out."""
    requests = context.requests
    return {
        "part": lists.part,
        "moments": lists.moments,
        "requests": len(requests.requests),
        "users": len({request.user for request in requests.requests}),
        "users_without_past_clicks": len({r.user for r in requests.requests if not len(r.clicks)}),
        "later_clicks": int(sum(len(request.hits) for request in requests.requests)),
        "cold_later_clicks": float(np.mean(np.concatenate([context.cold[r.hits] for r in requests.requests]))),
        "cold_items": int((context.cold & context.available).sum()),
        "items": int(context.available.sum()),
        "left_out": requests.left_out,
    }


def repeated(each: Sequence[RankedLists], seeds: int) -> list[RankedLists]:
    """Lists of a row for every seed: one that does not train has the same for all."""
    return list(each) * (seeds if len(each) == 1 else 1)
