"""Stages 2 and 3 as functions: PPM pre-training, and every model that was asked for, fitted, scored and calibrated.

A stage is found again on the disk where nothing it depends on changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plugrank_training.config import Config
from plugrank_training.console import fit_note, reused_note, say
from plugrank_training.evaluate.trained import Trained
from plugrank_training.fit.baseline_inputs import BaselineInputs
from plugrank_training.fit.baselines import BASELINES, BASELINES_VERSION
from plugrank_training.fit.batches import Dropping
from plugrank_training.fit.covisit_factors import fill_covisits
from plugrank_training.fit.prepare import Prepared
from plugrank_training.fit.pretrain import fit_content, newest, pretrain, pretrain_next_clicks, whiten
from plugrank_training.fit.run import Run
from plugrank_training.fit.train import FitOptions, FitResult, Stopwatch, fit, list_level, predict_tasks
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.frozen_vectors import FrozenVectors
from plugrank_training.models.groups import freeze
from plugrank_training.models.item_popularity import ItemPopularity
from plugrank_training.models.recent_clicks import RecentPopularity
from plugrank_training.models.registry import NETWORKS, PPM, Network, Plugin
from plugrank_training.stage_cache import fingerprint

Made = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True)
class Pretrained:
    """What stage 2 made: a plug-in under a head of its own."""

    model: ClickModel
    # Fingerprint of what it depends on.
    key: str
    report: dict[str, Any]


@dataclass(frozen=True)
class FittedModels:
    """What stages 2 and 3 made."""

    models: dict[str, Trained]
    # What models were plugged into; empty where none needed it.
    plugins: dict[Plugin, Pretrained]

    @property
    def ppm(self) -> Pretrained | None:
        """None where no model needed it."""
        return self.plugins.get(PPM)


def fit_models(run: Run, prepared: Prepared, names: Sequence[str]) -> FittedModels:
    """Stages 2 and 3: every model of `names`, in their order; a plug-in is pre-trained once, where one needs it."""
    plugins: dict[Plugin, Pretrained] = {}
    models: dict[str, Trained] = {}
    for name in names:
        if name in BASELINES:
            models[name] = fit_baseline(run, prepared, name)
            continue
        network = NETWORKS[name]
        if network.plugin is not None and network.plugin not in plugins:
            plugins[network.plugin] = pretrain_plugin(run, prepared, network.plugin)
        pretrained = plugins[network.plugin] if network.plugin is not None else None
        models[name] = score(run, prepared, name, *made_network(run, prepared, name, pretrained))
    return FittedModels(models, plugins)


def fit_baseline(run: Run, prepared: Prepared, name: str) -> Trained:
    """A model without a network. Seeds with the same encoders, as published ones that stay frozen are, share it."""
    no_test, config = run.options.no_test, run.config
    encoders = [part.version for part in (prepared.encoders.text, prepared.encoders.image) if part is not None]
    reads = config.history, config.categories_length, config.features
    key = fingerprint(run.split_key, name, BASELINES_VERSION, *reads, encoders, no_test)
    stored = run.cache.path(name, key, "json").is_file()
    if not stored and not no_test:
        run.ledger.read(run.split_key, name, run.options.seed, key)

    def make() -> Made:
        watch = Stopwatch(spent := FitResult())
        on_cpu = prepared.catalog.to(torch.device("cpu"))
        valid, test = BASELINES[name](BaselineInputs(run.dataset, run.split, run.history, on_cpu))
        found = {"valid": torch.from_numpy(valid.astype(np.float64))}
        if not no_test:
            found["test"] = torch.from_numpy(test.astype(np.float64))
        watch.note()
        return found, {"baseline": {"seconds": round(spent.seconds, 2), "cpu_seconds": round(spent.cpu_seconds, 2)}}

    made = run.cache.get_or_make(name, key, make)
    test = None if no_test else made.tensors["test"].numpy()
    return calibrated(run, name, None, made.tensors["valid"].numpy(), test, made.report)


def pretrained_config(config: Config) -> tuple[Any, ...]:
    """What pre-training reads of the configuration."""
    return (
        config.text,
        config.image,
        config.ppm,
        config.similarity,
        config.semantic_ids,
        config.next_clicks,
        config.unified.pretraining(),
        config.categories_length,
        config.features,
        config.tasks,
        config.lists.own,
    )


def pretrain_plugin(run: Run, prepared: Prepared, plugin: Plugin) -> Pretrained:
    """Stage 2."""
    config, seed, catalog = run.config, run.options.seed, prepared.catalog
    model = plugin.build(catalog.schema, config, seed)
    key = run.key(*pretrained_config(config))

    def make() -> Made:
        part = newest(run.split.train, config.ppm.window, run.clicks_only)
        batchers = run.batcher(part, True), run.batcher(run.split.valid)
        start = next_clicks(run, prepared, plugin) if config.next_clicks.epochs else None
        checkpoint = run.checkpoint(plugin.name, key)
        first = start.model if start else None
        stop = run.stops.get(plugin.name)
        trained, result = pretrain(catalog, *batchers, config, seed, checkpoint, first, plugin, stop)
        long = {"next_clicks": start.report} if start else {}
        return trained.state_dict(), {"fit": result.summary()} | long

    made = run.cache.get_or_make(plugin.name, key, make)
    model.load_state_dict(made.tensors)
    say(f"{plugin.name} pre-training: {fit_note(made.report)}{reused_note(made.reused)}")
    return Pretrained(model.eval(), key, made.report)


def next_clicks(run: Run, prepared: Prepared, plugin: Plugin) -> Pretrained:
    """Stage 2, first part: a plug-in after next-click pre-training."""
    config, seed, sequences = run.config, run.options.seed, prepared.sequences
    if sequences is None:
        raise ValueError("next-click pre-training needs click sequences")
    model = plugin.build(prepared.catalog.schema, config, seed)
    stage = "next_clicks" if plugin == PPM else f"next_clicks-{plugin.name}"
    # Of `ppm` all but how it is then fitted to rows.
    kept = replace(config.ppm, epochs=0, window=1.0, learning_rate=0.0, weight_decay=0.0)
    key = run.key(*pretrained_config(replace(config, ppm=kept)))

    def make() -> Made:
        checkpoint = run.checkpoint(stage, key)
        trained, result = pretrain_next_clicks(prepared.catalog, sequences, config, seed, checkpoint, plugin)
        return trained.state_dict(), result.summary()

    made = run.cache.get_or_make(stage, key, make)
    model.load_state_dict(made.tensors)
    return Pretrained(model.to(prepared.catalog.present.device), key, made.report)


def fit_options(name: str, config: Config, seed: int, network: Network) -> FitOptions:
    """How a click model is trained."""
    unified = config.unified
    return FitOptions(
        name=name,
        epochs=unified.epochs,
        evaluations=unified.evaluations,
        patience=unified.patience,
        learning_rate=unified.learning_rate,
        weight_decay=unified.weight_decay,
        embedding_learning_rate=unified.embedding_learning_rate,
        embedding_weight_decay=unified.embedding_weight_decay,
        dropping=Dropping(
            item=config.ppm.drop_item if network.reads_content else 0.0,
            item_id=config.host.drop_item_id,
            user_id=config.host.drop_user_id,
            history=unified.drop_history,
            shorten=unified.shorten_history,
        ),
        seed=seed,
        ranking=unified.ranking,
        lists=config.lists.share,
        retrieval=config.retrieval.share if network.plugin is not None else 0.0,
        temperature=config.retrieval.temperature,
        sparse=unified.sparse_embeddings,
        task_weights=config.tasks.weights,
    )


def has_own_stage(network: Network) -> bool:
    """Whether it is more than a host alone: hosts by their names and the configured one are found as one stage."""
    return network.reads_content or network.plugin is not None


def network_key(run: Run, name: str, config: Config) -> str:
    """Fingerprint of a fitted network. A host alone does not change with what only PPM reads."""
    if has_own_stage(NETWORKS[name]):
        return run.key(name, config)
    # Where clicks are trained against drawn items, what is near by content is among them.
    drawn = (config.lists, config.text, config.image) if config.lists.share else ()
    shape = (config.categories_length, config.features, config.tasks)
    return run.key(config.host, config.covisits, drawn, config.unified, config.calibration, *shape)


def fitted_key(run: Run, name: str) -> str:
    """Fingerprint of a network by its name, the pre-trained PPM included."""
    network = NETWORKS[name]
    return (
        run.key(*pretrained_config(run.config))
        if network.is_plugin
        else network_key(run, name, network.configured(run.config))
    )


def start_network(run: Run, prepared: Prepared, name: str, plugin: Pretrained | None) -> ClickModel:
    """A network before it trains: built, given what does not train, its plug-in taken over, groups frozen."""
    network, catalog = NETWORKS[name], prepared.catalog
    config = network.configured(run.config)
    model = network.build(catalog.schema, config, run.options.seed)
    if prepared.covisits is not None:
        fill_covisits(model, catalog, prepared.covisits)
    for part in model.parts():
        if isinstance(part, ItemPopularity):
            train = run.split.train
            clicks = np.bincount(train.item, train.label, minlength=len(run.dataset.item_ids))
            part.fill(catalog.item_ids["item_id"], clicks)
        if isinstance(part, RecentPopularity) and run.recent is not None:
            part.fill(catalog.item_ids["item_id"], run.recent.latest(run.dataset))
        if isinstance(part, FrozenVectors):
            whiten(part.projection, catalog)
        fit_content(part, catalog, run.options.seed)
    if network.plugin is not None:
        if plugin is None:
            raise ValueError(f"`{name}` starts from a pre-trained {network.plugin.name}")
        model.start_from(plugin.model)
        freeze(model, config.unified.freeze)
    if config.lists.share:
        model.trust_recent()
    return model.to(run.options.device)


def made_network(
    run: Run, prepared: Prepared, name: str, plugin: Pretrained | None
) -> tuple[ClickModel, str, dict[str, Any]]:
    """A network by its name, trained or reused; with its fingerprint and what was measured of it."""
    network = NETWORKS[name]
    if network.is_plugin and plugin is not None:
        return plugin.model, plugin.key, plugin.report
    config = network.configured(run.config)
    model = start_network(run, prepared, name, plugin)
    # `idrec` and a host by its name are the same network where the configuration names that host.
    stage = name if has_own_stage(network) else "idrec"
    key = network_key(run, name, config)

    def make() -> Made:
        part = newest(run.split.train, config.unified.window, run.clicks_only)
        options = replace(fit_options(name, config, run.options.seed, network), stop_after=run.stops.get(name))
        drawn = prepared.negatives if options.lists or options.retrieval else None
        batchers = run.batcher(part, True, drawn), run.batcher(run.split.valid, negatives=drawn)
        stored = run.frozen.attach(model, prepared.catalog, batchers)
        result = fit(model, stored, *batchers, options, run.checkpoint(stage, key))
        told: dict[str, Any] = {"fit": result.summary()}
        if model.list_place:
            told["list_level"] = list_level(model, stored, batchers[1])
        return model.state_dict(), told

    made = run.cache.get_or_make(stage, key, make)
    model.load_state_dict(made.tensors)
    say(f"{name}: {fit_note(made.report)}{reused_note(made.reused)}")
    return model, key, made.report


def part_logits(run: Run, prepared: Prepared, name: str, model: ClickModel, key: str, part: str) -> np.ndarray:
    """Predict, or reuse predictions of, the validation or the test part; f64 `[n, tasks]`."""
    model.to(run.options.device)
    examples = getattr(run.split, part)

    def make() -> Made:
        batcher = run.batcher(examples)
        catalog = run.frozen.attach(model, prepared.catalog, [batcher])
        return {"logits": torch.from_numpy(predict_tasks(model, catalog, batcher, f"{name} {part}"))}, {}

    return run.cache.get_or_make(f"{name}-{part}", key, make).tensors["logits"].numpy()


def score(run: Run, prepared: Prepared, name: str, model: ClickModel, key: str, report: dict[str, Any]) -> Trained:
    """Predict (or reuse predictions of) both later parts, the test part unless a refit does; calibrate on the first."""
    test = None if run.options.no_test or run.config.unified.refit else test_logits(run, prepared, name, model, key)
    valid = part_logits(run, prepared, name, model, key, "valid")
    return calibrated(run, name, model.cpu().eval(), valid, test, report)


def test_logits(run: Run, prepared: Prepared, name: str, model: ClickModel, key: str) -> np.ndarray:
    """Of the test part, and a note of it where it was not read before."""
    if not run.cache.path(f"{name}-test", key, "safetensors").is_file():
        run.ledger.read(run.split_key, name, run.options.seed, key)
    return part_logits(run, prepared, name, model, key, "test")


def calibrated(
    run: Run, name: str, model: ClickModel | None, valid: np.ndarray, test: np.ndarray | None, report: dict[str, Any]
) -> Trained:
    """Calibrate on the validation part and measure."""
    reads = {"test_reads": run.ledger.readings(run.split_key, name, run.options.seed)}
    tasks = model.labelled_tasks if model is not None else ()
    return Trained.measured(model, (valid, test), run.split, run.config.calibration, report | reads, tasks)
