"""The whole training run: encoders, PPM pre-training, IDRec, UniM, calibration, export, report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from plugrank_training.batches import Batcher, Dropping
from plugrank_training.calibrate import apply, calibrate
from plugrank_training.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.config import Config
from plugrank_training.content import (
    Content,
    ImageResult,
    TextResult,
    Training,
    clicked_pairs,
    image_stage,
    text_stage,
)
from plugrank_training.covisits import covisit_factors, fill_covisits
from plugrank_training.dataset import Dataset
from plugrank_training.export import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.graphs import Schema
from plugrank_training.groups import freeze, group_table, groups_of
from plugrank_training.history import HistoryIndex
from plugrank_training.metrics import evaluate
from plugrank_training.models.build import make_idrec, make_pretrained, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.next_clicks import ClickSequences
from plugrank_training.pretrain import newest, pretrain
from plugrank_training.splits import Examples, default_split, make_split
from plugrank_training.stages import StageCache, fingerprint, fingerprint_folder
from plugrank_training.train import FitOptions, fit, predict


@dataclass(frozen=True)
class Options:
    """What the command line chooses."""

    dataset: Path
    out: Path
    # None takes what suits the data set.
    split: str | None
    salt: str
    fold: int | None
    seed: int
    device: torch.device


@dataclass(frozen=True)
class Trained:
    """One trained click model with its logits and calibration."""

    model: ClickModel
    valid: np.ndarray
    test: np.ndarray
    calibration: dict[str, Any]
    report: dict[str, Any]
    reused: bool


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises `ValueError` where `cuda` is asked for and absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no usable CUDA device; use --device cpu or auto")
    return torch.device(name)


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, flush=True)


class Pipeline:
    """One run over one data set, split and seed; every stage is reused where nothing it depends on changed."""

    def __init__(self, options: Options, config: Config) -> None:
        config.check()
        self.options = options
        self.started = time.perf_counter()
        self.dataset = Dataset.load(options.dataset)
        # Without logged impressions a click's only contrast is what was drawn, and only an order is known.
        self.clicks_only = self.dataset.meta.negatives == "matched"
        self.config = config = config.suited_to(self.clicks_only)
        self.cache = StageCache(options.out / "stages")
        self.data_key = fingerprint_folder(options.dataset)
        name = options.split or default_split(self.dataset)
        self.split = make_split(self.dataset, name, options.salt, options.fold, options.seed)
        parts = (self.split.train, self.split.valid, self.split.test)
        for part_name, part in zip(("train", "valid", "test"), parts, strict=True):
            if len(part) == 0:
                raise ValueError(f"split `{self.split.name}`: the {part_name} part is empty; the data set is too small")
        matched = options.seed if self.dataset.meta.negatives == "matched" else None
        self.split_key = fingerprint(self.data_key, self.split.name, options.salt, options.fold, matched)
        limits = config.history
        self.history = HistoryIndex(self.dataset, limits.clicks, limits.impressions, self.split.exclude_items)
        self.report: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """All stages; gives the report that is also written."""
        text, image = self.encoders()
        schema = self.schema(text, image)
        catalog = self.catalog(schema, text, image).to(self.options.device)
        self.print_groups(schema, text, image)
        ppm = self.pretrained(catalog)
        models = {"idrec": self.idrec(catalog), "unified": self.unified(catalog, ppm)}
        for name, trained in models.items():
            self.report[name] = trained.report | {"calibration": trained.calibration}
            self.write_predictions(name, trained)
        self.export(schema, text, image, models)
        return self.finish()

    def encoders(self) -> tuple[TextResult | None, ImageResult | None]:
        """Stage 1."""
        data, train = self.dataset, self.split.train
        content = Content(self.options.dataset, data.titles, data.texts, data.categories, data.images)
        pairs = clicked_pairs(train.user, train.item, train.label)
        training = Training(self.cache, self.data_key, pairs, self.split_key, self.options.seed, self.options.device)
        text = text_stage(content, self.config.text, training)
        image = image_stage(content, self.config.image, training)
        for name, made in (("text", text), ("image", image)):
            found = "none in this data set" if made is None else f"{int(made.present.sum()):,} items"
            say(f"{name} encoder: {found}{reused_note(made is not None and made.reused)}")
        return text, image

    def schema(self, text: TextResult | None, image: ImageResult | None) -> Schema:
        """What the models read. Raises `ValueError` where items have neither text nor image."""
        parts = []
        if text:
            parts.append(("text", text.encoder.dim))
        if image:
            parts.append(("image", image.encoder.dim))
        if not parts:
            raise ValueError("items.parquet: no item has a title, a text or an image; PPM needs content to read")
        history = self.config.history
        return Schema(
            item_features(self.dataset, self.split.train, self.config),
            user_features(self.dataset, self.split.train, self.config),
            tuple(parts),
            history.clicks,
            history.impressions,
        )

    def catalog(self, schema: Schema, text: TextResult | None, image: ImageResult | None) -> Catalog:
        """Items and users as tensors.

        Modal vectors stay f32, as the serving side keeps them: whitening stretches them, so a rounding that falls the
        other way there would be seen in the scores.
        """
        made = [part for part in (text, image) if part is not None]
        modal = torch.cat([part.vectors for part in made], dim=1)
        present = torch.stack([part.present for part in made], dim=1)
        return make_catalog(self.dataset, schema, modal, present)

    def print_groups(self, schema: Schema, text: TextResult | None, image: ImageResult | None) -> None:
        """The table of what trains when and what is cached."""

        def count(parameters: Iterable[torch.nn.Parameter]) -> int:
            return sum(parameter.numel() for parameter in parameters)

        rows = []
        for name, part in (("text encoder", text), ("image encoder", image)):
            if part is not None:
                rows.append((name, count(part.encoder.parameters()), "1, then frozen", "modal vector, per item"))
        for group in groups_of(make_unified(schema, self.config, 0)):
            stages = "2, 3" if group.name.startswith("ppm") else "3"
            if group.name in self.config.unified.freeze:
                stages = "2, then frozen" if group.name.startswith("ppm") else "never"
            rows.append((group.name, count(group.parameters), stages, group.cached))
        say("\n" + group_table(rows) + "\n")

    def batcher(self, examples: Examples, training: bool = False) -> Batcher:
        """Batches of a part."""
        sizes = self.config.batch
        rows = sizes.rows if training else sizes.eval_rows
        return Batcher(examples, self.history, sizes.candidates, rows, self.options.device)

    def key(self, *parts: Any) -> str:
        """Fingerprint of a stage that reads the training part."""
        return fingerprint(self.split_key, self.options.seed, self.config.history, self.config.batch, *parts)

    def pretrained(self, catalog: Catalog) -> ClickModel:
        """Stage 2."""
        config = self.config
        part = newest(self.split.train, config.ppm.window, self.clicks_only)
        model = make_pretrained(catalog.schema, config, self.options.seed)

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            valid = self.batcher(self.split.valid)
            past = self.sequences if config.next_clicks.epochs else None
            trained, fits = pretrain(catalog, self.batcher(part, True), valid, config, self.options.seed, past)
            return trained.state_dict(), {name: result.summary() for name, result in fits.items()}

        made = self.cache.get_or_make(
            "ppm",
            self.key(
                config.text, config.image, config.ppm, config.next_clicks, config.unified, config.categories_length
            ),
            make,
        )
        model.load_state_dict(made.tensors)
        self.report["ppm"] = made.report
        say(f"ppm pre-training: {fit_note(made.report)}{reused_note(made.reused)}")
        return model.eval()

    @cached_property
    def sequences(self) -> ClickSequences:
        """What every user clicked in the training part."""
        return ClickSequences(self.history, self.split.train)

    @cached_property
    def covisits(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors of the items clicked close together in the training part."""
        config = self.config.covisits
        return covisit_factors(self.sequences, len(self.dataset.item_ids), config.reach, config.dim)

    def ready(self, model: ClickModel, catalog: Catalog) -> ClickModel:
        """Co-visits filled in, where the model reads them."""
        if self.config.covisits.dim:
            fill_covisits(model, catalog, self.covisits)
        return model

    def options_for(self, name: str, dropping: Dropping) -> FitOptions:
        """How a click model is trained."""
        config = self.config.unified
        return FitOptions(
            name=name,
            epochs=config.epochs,
            evaluations=config.evaluations,
            patience=config.patience,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            embedding_learning_rate=config.embedding_learning_rate,
            embedding_weight_decay=config.embedding_weight_decay,
            dropping=dropping,
            seed=self.options.seed,
        )

    def idrec(self, catalog: Catalog) -> Trained:
        """The host alone."""
        config = self.config
        dropping = Dropping(item_id=config.host.drop_item_id, user_id=config.host.drop_user_id)
        key = self.key(config.host, config.covisits, config.unified, config.calibration, config.categories_length)
        model = self.ready(make_idrec(catalog.schema, config, self.options.seed), catalog)
        return self.click_model("idrec", model, catalog, dropping, key)

    def unified(self, catalog: Catalog, ppm: ClickModel) -> Trained:
        """Stage 3: PPM plugged in."""
        config = self.config
        model = self.ready(make_unified(catalog.schema, config, self.options.seed), catalog)
        model.start_from(ppm)
        freeze(model, config.unified.freeze)
        dropping = Dropping(config.ppm.drop_item, config.host.drop_item_id, config.host.drop_user_id)
        return self.click_model("unified", model, catalog, dropping, self.key(config))

    def click_model(self, name: str, model: ClickModel, catalog: Catalog, dropping: Dropping, key: str) -> Trained:
        """Train (or reuse) one model, predict both later parts, calibrate on the validation part."""
        model = model.to(self.options.device)
        part = newest(self.split.train, self.config.unified.window, self.clicks_only)

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            valid = self.batcher(self.split.valid)
            result = fit(model, catalog, self.batcher(part, True), valid, self.options_for(name, dropping))
            logits = {
                f"logits.{place}": torch.from_numpy(predict(model, catalog, self.batcher(examples), f"{name} {place}"))
                for place, examples in (("valid", self.split.valid), ("test", self.split.test))
            }
            return model.state_dict() | logits, {"fit": result.summary()}

        made = self.cache.get_or_make(name, key, make)
        logits = {place: made.tensors.pop(f"logits.{place}").numpy() for place in ("valid", "test")}
        model.load_state_dict(made.tensors)
        calibration = calibrate(self.config.calibration, logits["valid"], self.split.valid.label)
        report = made.report | {
            place: finite(evaluate(examples.user, examples.label, apply(calibration, logits[place])))
            for place, examples in (("valid", self.split.valid), ("test", self.split.test))
        }
        say(f"{name}: {fit_note(made.report)}{reused_note(made.reused)}")
        return Trained(model.cpu().eval(), logits["valid"], logits["test"], calibration, report, made.reused)

    def write_predictions(self, name: str, trained: Trained) -> None:
        """Calibrated click probabilities of every test impression, in the order of the test part."""
        test = self.split.test
        users, items = np.array(self.dataset.user_ids), np.array(self.dataset.item_ids)
        table = pa.table(
            {
                "user_id": pa.array(users[test.user]),
                "item_id": pa.array(items[test.item]),
                "timestamp": pa.array(test.timestamp, pa.int64()),
                "label": pa.array(test.label, pa.int8()),
                "score": pa.array(apply(trained.calibration, trained.test), pa.float64()),
            }
        )
        folder = self.options.out / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"{name}.parquet")

    def export(
        self,
        schema: Schema,
        text: TextResult | None,
        image: ImageResult | None,
        models: dict[str, Trained],
    ) -> None:
        """Stage 4: the bundle."""
        name = bundle_name(self.dataset.meta.name)
        texts = Content(
            self.options.dataset,
            self.dataset.titles,
            self.dataset.texts,
            self.dataset.categories,
            self.dataset.images,
        ).texts()
        samples = tuple(row for row in texts if row)[:5]
        bundle = Bundle(
            name=name,
            time=self.dataset.meta.time,
            schema=schema,
            unified=models["unified"].model,
            idrec=models["idrec"].model,
            text=TextPart(text.encoder, text.tokenizer, self.config.text.max_tokens, samples) if text else None,
            image=ImagePart(image.encoder, self.config.image) if image else None,
            calibration={name: trained.calibration for name, trained in models.items()},
            metrics={
                name: {part: trained.report[part] for part in ("valid", "test")} for name, trained in models.items()
            }
            | {"split": self.split.name, "seed": self.options.seed},
            seed=self.options.seed,
        )
        manifest = export_bundle(bundle, self.options.out / "bundle")
        self.report["bundle"] = {
            "version": manifest["version"],
            "bytes": sum(entry["bytes"] for entry in manifest["files"].values()),
            "onnx_difference": manifest["metrics"]["onnx_difference"],
        }

    def finish(self) -> dict[str, Any]:
        """Write the report and print what matters of it."""
        options = self.options
        self.report |= {
            "dataset": self.dataset.meta.name,
            "split": self.split.name,
            "salt": options.salt,
            "fold": options.fold,
            "seed": options.seed,
            "device": str(options.device),
            "seconds": round(time.perf_counter() - self.started, 1),
            "rows": {part: len(getattr(self.split, part).label) for part in ("train", "valid", "test")},
        }
        text = json.dumps(self.report, indent=1, allow_nan=False)
        (options.out / "report.json").write_text(text + "\n", encoding="utf-8")
        say("\n" + result_table({name: self.report[name]["test"] for name in ("idrec", "unified")}))
        say(f"\nbundle: {options.out / 'bundle'} ({self.report['bundle']['version']})")
        return self.report


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: null for what is not defined, such as the AUC of one class."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def reused_note(reused: bool) -> str:
    """Says that a stage was not run again."""
    return " (reused)" if reused else ""


def fit_note(report: dict[str, Any]) -> str:
    """What a fit measured, in one line."""
    summary = report["fit"]
    best = min(summary["valid_loss"], default=float("nan"))
    return f"validation log loss {best:.4f}, {summary['rows']:,} rows in {summary['seconds']:.0f} s"


def bundle_name(name: str) -> str:
    """A data set's name in lower case, anything but letters, digits and hyphens replaced."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return kept.strip("-") or "dataset"


def result_table(rows: dict[str, dict[str, float | None]]) -> str:
    """Metrics of models, a line each."""
    names = list(next(iter(rows.values())))
    head = f"{'test':10}" + "".join(f"{name:>20}" for name in names)

    def cell(value: float | None) -> str:
        return f"{'-':>20}" if value is None else f"{value:20.4f}"

    lines = [f"{model:10}" + "".join(cell(values[name]) for name in names) for model, values in rows.items()]
    return "\n".join([head, *lines])
