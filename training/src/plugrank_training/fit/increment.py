"""`train --from BUNDLE --days N`: the bundle's models go on with what the newest days hold.

Encoders stay as they are, so cached modal vectors stay valid; new ids and values are appended to the vocabularies and
start out as what "any other value" has learned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from plugrank_training.config import Config, from_mapping
from plugrank_training.console import say
from plugrank_training.data.bundle_features import read_schema
from plugrank_training.data.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.data.columns import column_table, column_uses, refuse_absent
from plugrank_training.data.content_vectors import content_vectors
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.loaded import Loaded
from plugrank_training.data.log_context import log_features, past_features, request_keys
from plugrank_training.data.raw_column import RawColumn
from plugrank_training.data.recent_clicks import RecentClicks
from plugrank_training.durable import write_durably
from plugrank_training.encoders.stage import (
    Content,
    ImageResult,
    Place,
    TextResult,
    encoded_images,
    encoded_texts,
    known_text_encoder,
    make_image_encoder,
)
from plugrank_training.evaluate.calibrate import apply, calibrate
from plugrank_training.evaluate.metrics import evaluate
from plugrank_training.evaluate.predictions import Scored, write_predictions
from plugrank_training.evaluate.trained import finite, list_calibration
from plugrank_training.export.bundle import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.feature_config import ColumnConfig, FeaturesConfig
from plugrank_training.fit.batches import Batcher, Dropping
from plugrank_training.fit.frozen_cache import FrozenCache
from plugrank_training.fit.list_negatives import ListNegatives
from plugrank_training.fit.run import recent_clicks
from plugrank_training.fit.train import FitOptions, fit, list_level, predict, predict_tasks
from plugrank_training.models.build import make_idrec, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.features import OTHER, Feature
from plugrank_training.models.groups import freeze
from plugrank_training.models.recent_clicks import RecentPopularity
from plugrank_training.models.schema import LIST_TASK, MAIN_TASK
from plugrank_training.options import Options

DAY_MS = 86_400_000


@dataclass(frozen=True)
class Past:
    """What a bundle keeps of its training."""

    folder: Path
    manifest: dict[str, Any]
    config: Config
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> Past:
        """From a bundle's folder. Raises `ValueError` where it is none, or carries no training state."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"--from {folder}: not a bundle: {error}") from error
        state = folder / "training"
        if not (state / "state.safetensors").is_file():
            raise ValueError(f"--from {folder}: carries no training state (folder `training`); train it once more")
        values = json.loads((state / "config.json").read_text(encoding="utf-8"))
        config: Config = from_mapping(Config, values)
        return cls(folder, manifest, config, load_file(state / "state.safetensors"))

    def part(self, name: str) -> dict[str, Tensor]:
        """Weights of one part."""
        start = f"{name}/"
        return {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}


def extended(old: tuple[Feature, ...], new: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """The old features, with values that only the new ones know behind theirs, and with what the new rows hold.

    Numbers keep the transform that the model was trained with.
    """
    fresh = {feature.name: feature for feature in new}
    made = []
    for feature in old:
        found = fresh.get(feature.name)
        observed = found.observed if found else None
        if feature.transform is not None or feature.derive:
            made.append(replace(feature, observed=observed))
            continue
        known = set(feature.values)
        added = [value for value in (found.values if found else ()) if value not in known]
        grown = Feature.of(feature.name, (*feature.values, *added), feature.length)
        made.append(replace(grown, column=feature.column, observed=observed))
    return tuple(made)


@torch.no_grad()
def warm_start(model: nn.Module, old: dict[str, Tensor]) -> None:
    """Take over weights; a table that has grown gets the row of "any other value" for what is new."""
    state = {}
    for name, value in model.state_dict().items():
        before = old[name]
        if before.shape != value.shape:
            if before.shape[1:] != value.shape[1:] or len(before) > len(value):
                raise ValueError(f"weights `{name}` have shape {tuple(before.shape)}, not {tuple(value.shape)}")
            added = before[OTHER : OTHER + 1].expand(len(value) - len(before), *before.shape[1:])
            before = torch.cat([before, added])
        state[name] = before
    model.load_state_dict(state)


def newest_days(dataset: Dataset, days: int, valid: float) -> tuple[Examples, Examples]:
    """Rows of the last `days` days, cut in two by time. Raises `ValueError` where there are too few."""
    if dataset.meta.time != "ms" or dataset.meta.negatives != "logged":
        raise ValueError(f"--days needs logged impressions with real times; `{dataset.meta.name}` has none")
    times = dataset.timestamp
    rows = np.flatnonzero(times > (times[-1] if len(times) else 0) - days * DAY_MS)
    cut = times[rows[int(len(rows) * (1 - valid))]] if len(rows) else 0
    parts = Examples.of(dataset, rows[times[rows] < cut]), Examples.of(dataset, rows[times[rows] >= cut])
    if not all(0 < part.label.mean() < 1 for part in parts if len(part)) or not all(map(len, parts)):
        raise ValueError(
            f"--days {days}: the newest {days} days hold {len(rows)} impressions; to train and to judge, both parts"
            " need clicked ones and others: raise --days"
        )
    return parts


@dataclass(frozen=True)
class Increment:
    """One daily increment, opened."""

    options: Options
    past: Past
    dataset: Dataset
    train: Examples
    valid: Examples
    history: HistoryIndex
    # None where no model reads it.
    recent: RecentClicks | None
    frozen: FrozenCache

    @property
    def config(self) -> Config:
        """The bundle's own."""
        return self.past.config

    def negatives(self, catalog: Catalog) -> ListNegatives:
        """Items to train clicks against, drawn by what the log holds before its rows that judge."""
        data = self.dataset
        earlier = Examples.of(data, data.timestamp < self.valid.timestamp[0])
        return ListNegatives(earlier, data.categories, content_vectors(catalog), self.config.lists)


def open_increment(options: Options, bundle: Path, days: int) -> Increment:
    """Read bundle and data set, cut the newest days off. Raises `ValueError` where they do not suit."""
    past, stages = Past.read(bundle), options.out / "stages"
    loaded = Loaded.read(options.dataset, stages)
    train, valid = newest_days(loaded.dataset, days, past.config.increment.valid)
    limits = past.config.history
    history = HistoryIndex(loaded.dataset, limits.clicks, limits.impressions, arrays=stages / f"histories-{loaded.key}")
    recent = recent_clicks(past.config, loaded.dataset)
    return Increment(options, past, loaded.dataset, train, valid, history, recent, FrozenCache(stages, loaded.key))


def run_increment(options: Options, bundle: Path, days: int) -> dict[str, Any]:
    """Train on from a bundle with the newest days, export, report."""
    increment = open_increment(options, bundle, days)
    text, image, catalog = catalog_of(increment)
    report: dict[str, Any] = {"from": increment.past.manifest["version"], "days": days, "seed": increment.options.seed}
    report["rows"] = {"train": len(increment.train), "valid": len(increment.valid)}
    models, calibration = {}, {}
    for name, make in (("idrec", make_idrec), ("unified", make_unified)):
        weights = increment.past.part(name)
        if weights:
            model = make(catalog.schema, increment.config, increment.options.seed)
            warm_start(model, weights)
            for part in model.parts():
                if isinstance(part, RecentPopularity) and increment.recent is not None:
                    part.fill(catalog.item_ids["item_id"], increment.recent.latest(increment.dataset))
            report[name] = train_on(increment, name, model, catalog)
            calibration[name] = report[name]["calibration"]
            models[name] = model
    made = Bundle(
        name=increment.past.manifest["name"],
        time=increment.dataset.meta.time,
        schema=catalog.schema,
        unified=models["unified"],
        idrec=models.get("idrec"),
        text=text,
        image=image,
        calibration=calibration,
        metrics={name: {"valid": report[name]["valid"]} for name in models} | {"from": report["from"]},
        seed=increment.options.seed,
        config=increment.config,
    )
    manifest = export_bundle(made, increment.options.out / "bundle")
    report["bundle"] = {"version": manifest["version"], "encoder_version": manifest["encoder_version"]}
    content = json.dumps(report, indent=1, allow_nan=False) + "\n"
    write_durably(increment.options.out / "increment.json", content.encode())
    say(f"bundle: {increment.options.out / 'bundle'} ({manifest['version']})")
    return report


def catalog_of(increment: Increment) -> tuple[TextPart | None, ImagePart | None, Catalog]:
    """All items with the bundle's encoders; what was encoded before is not encoded again."""
    data, config, past, options = increment.dataset, increment.config, increment.past, increment.options
    content = Content(options.dataset, data.titles, data.texts, data.categories, data.images)
    folder, version = options.out / "stages", past.manifest["encoder_version"]
    place = Place(folder, version, options.device, reused=True)
    made: list[TextResult | ImageResult] = []
    parts = []
    text = image = None
    if "text" in past.manifest["modal"]:
        tokenizer = Tokenizer.from_file(str(past.folder / "tokenizer.json"))
        encoder = known_text_encoder(tokenizer, config.text)
        encoder.load_state_dict(past.part("text"))
        texts = content.texts()
        made.append(encoded_texts(texts, encoder, tokenizer, config.text, place))
        samples = tuple(row for row in texts if row)[:5]
        text = TextPart(encoder, tokenizer, config.text.max_tokens, samples)
        parts.append(("text", encoder.dim))
    if "image" in past.manifest["modal"]:
        pictures = make_image_encoder(config.image, 0)
        pictures.load_state_dict(past.part("image"))
        made.append(encoded_images(content, pictures, config.image, place))
        image = ImagePart(pictures.eval(), config.image)
        parts.append(("image", pictures.dim))
    old = read_schema(past.folder, past.manifest)
    refuse_absent(old, data, options.allow_absent)
    lacking = [task for task in old.tasks if task not in (MAIN_TASK, LIST_TASK, *data.task_labels)]
    if lacking:
        raise ValueError(f"interactions.parquet has no column `label_{lacking[0]}`, which the model was trained on")
    all_rows = Examples.of(data, slice(None))
    # A column that the data may lack cannot be configured.
    known = replace(config, features=present_columns(config.features, data))
    request, candidate = log_features(data, all_rows, known.features)
    schema = replace(
        old,
        item=extended(old.item, item_features(data, all_rows, known)),
        user=extended(old.user, user_features(data, all_rows, known)),
        request=extended(old.request, request),
        candidate=extended(old.candidate, candidate),
        history=extended(old.history, past_features(data, all_rows, known.features)),
        parts=tuple(parts),
    )
    modal = [part.vectors for part in made]
    present = torch.stack([part.present for part in made], dim=1)
    catalog = make_catalog(data, schema, modal, present)
    say(column_table(column_uses(data, schema)))
    return text, image, catalog.to(options.device)


def present_columns(config: FeaturesConfig, data: Dataset) -> FeaturesConfig:
    """The configuration of those columns that a data set has."""

    def kept(named: Mapping[str, ColumnConfig], columns: Mapping[str, RawColumn]) -> dict[str, ColumnConfig]:
        return {name: column for name, column in named.items() if name in columns}

    return replace(
        config,
        items=kept(config.items, data.item_columns),
        users=kept(config.users, data.user_columns),
        interactions=kept(config.interactions, data.log_columns),
        history=kept(config.history, data.past_columns),
    )


def train_on(increment: Increment, name: str, model: ClickModel, catalog: Catalog) -> dict[str, Any]:
    """Train one model in place; it stays as it was where the newest rows say that it was better."""
    config, sizes = increment.config, increment.config.batch
    scale = config.increment.learning_rate_scale
    model.to(increment.options.device)
    freeze(model, config.unified.freeze if name == "unified" else ())
    requests = request_keys(increment.dataset, config.features)
    drawn = increment.negatives(catalog) if config.lists.share else None

    def batcher(examples: Examples, rows: int) -> Batcher:
        device = increment.options.device
        made = Batcher(examples, increment.history, sizes.candidates, rows, device, requests=requests)
        made.recent, made.negatives = increment.recent, drawn
        return made

    train, valid = batcher(increment.train, sizes.rows), batcher(increment.valid, sizes.eval_rows)
    catalog = increment.frozen.attach(model, catalog, [train, valid])
    label, user = increment.valid.label, increment.valid.user
    start = {key: value.clone() for key, value in model.state_dict().items()}
    before = measure(increment, predict(model, catalog, valid))
    options = FitOptions(
        name=name,
        epochs=config.increment.epochs,
        evaluations=config.unified.evaluations,
        patience=config.unified.patience,
        learning_rate=config.unified.learning_rate * scale,
        weight_decay=config.unified.weight_decay,
        embedding_learning_rate=config.unified.embedding_learning_rate * scale,
        embedding_weight_decay=config.unified.embedding_weight_decay,
        dropping=Dropping(
            config.ppm.drop_item if name == "unified" else 0.0,
            config.host.drop_item_id,
            config.host.drop_user_id,
            config.unified.drop_history,
            config.unified.shorten_history,
        ),
        seed=increment.options.seed,
        sparse=config.unified.sparse_embeddings,
        lists=config.lists.share,
        task_weights=config.tasks.weights,
    )
    result = fit(model, catalog, train, valid, options)
    after = measure(increment, predict(model, catalog, valid))
    kept = after["log_loss"] >= before["log_loss"]
    if kept:
        model.load_state_dict(start)
    every = predict_tasks(model, catalog, valid)
    level = list_level(model, catalog, valid) if model.list_place else 0.0
    logits = every[:, 0]
    model.cpu().eval()
    say(f"{name}: log loss {before['log_loss']:.4f} -> {after['log_loss']:.4f}" + (", kept as it was" if kept else ""))
    measured = finite(evaluate(user, label, 1 / (1 + np.exp(-logits))))
    calibration = {MAIN_TASK: calibrate(config.calibration, logits, label)}
    for column, task in enumerate(model.labelled_tasks, 1):
        known = increment.valid.further[task] >= 0
        calibration[task] = calibrate(config.calibration, every[known, column], increment.valid.further[task][known])
    scores = {task: apply(entry, every[:, at])[None] for at, (task, entry) in enumerate(calibration.items())}
    scored = Scored(increment.valid, scores.pop(MAIN_TASK), (increment.options.seed,), scores)
    write_predictions(scored, increment.dataset, increment.options.out / "predictions" / f"{name}.parquet")
    if model.list_place:
        calibration[LIST_TASK] = list_calibration(level)
    return {
        "fit": result.summary(),
        "before": finite(before),
        "valid": measured,
        "kept": bool(kept),
        "calibration": calibration,
    }


def measure(increment: Increment, logits: np.ndarray) -> dict[str, float]:
    """Metrics on the newest rows, uncalibrated."""
    return evaluate(increment.valid.user, increment.valid.label, 1 / (1 + np.exp(-logits)))
