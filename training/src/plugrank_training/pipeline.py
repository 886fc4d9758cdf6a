"""One training run: encoders, PPM pre-training, models with and without it, calibration, export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plugrank_training.bars import BARS, Bar
from plugrank_training.batches import Batcher, Dropping
from plugrank_training.calibrate import apply, calibrate
from plugrank_training.catalog import Catalog, item_features, make_catalog, user_features
from plugrank_training.checkpoint import Checkpoint
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
from plugrank_training.distributed import is_main
from plugrank_training.export import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.graphs import Schema
from plugrank_training.groups import freeze, group_table, groups_of
from plugrank_training.history import HistoryIndex
from plugrank_training.metrics import evaluate
from plugrank_training.models.build import make_idrec, make_pretrained, make_unified, make_with_vectors
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.frozen_vectors import FrozenVectors
from plugrank_training.next_clicks import ClickSequences
from plugrank_training.options import HOST_MODELS, Options
from plugrank_training.pretrain import newest, pretrain, pretrain_next_clicks
from plugrank_training.splits import Examples, default_split, make_split
from plugrank_training.stages import StageCache, fingerprint, fingerprint_folder
from plugrank_training.test_ledger import TestLedger
from plugrank_training.train import FitOptions, fit, predict


@dataclass(frozen=True)
class Trained:
    """One fitted model with its logits and calibration."""

    # None for a bar, which is no network.
    model: ClickModel | None
    valid: np.ndarray
    # None where the test part was left alone.
    test: np.ndarray | None
    calibration: dict[str, Any]
    report: dict[str, Any]

    def probability(self) -> np.ndarray | None:
        """Calibrated click probabilities of the test part, f64 `[n]`."""
        return None if self.test is None else apply(self.calibration, self.test)


@dataclass(frozen=True)
class Loaded:
    """A data set that several runs read, with its fingerprint."""

    dataset: Dataset
    key: str

    @classmethod
    def read(cls, folder: Path) -> Loaded:
        """Read and check it. Raises `DatasetError`."""
        return cls(Dataset.load(folder), fingerprint_folder(folder))


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises `ValueError` where `cuda` is asked for and absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no usable CUDA device; use --device cpu or auto")
    return torch.device(name)


def say(text: str) -> None:
    """A line for the person at the terminal."""
    if is_main():
        print(text, flush=True)


class Pipeline:
    """One run over one data set, split, fold and seed; every stage is reused where nothing it depends on changed."""

    def __init__(self, options: Options, config: Config, loaded: Loaded | None = None) -> None:
        config.check()
        self.options = options
        loaded = loaded or Loaded.read(options.dataset)
        self.dataset, self.data_key = loaded.dataset, loaded.key
        self.clicks_only = self.dataset.meta.negatives == "matched"
        self.config = config = config.suited_to(self.clicks_only)
        self.cache = StageCache(options.out / "stages")
        name = options.split or default_split(self.dataset)
        # Matched negatives are drawn once, whatever the seed of the weights: all seeds have the same test part.
        self.split = make_split(self.dataset, name, options.salt, options.fold)
        parts = (self.split.train, self.split.valid, self.split.test)
        for part_name, part in zip(("train", "valid", "test"), parts, strict=True):
            if len(part) == 0:
                raise ValueError(f"split `{self.split.name}`: the {part_name} part is empty; the data set is too small")
        self.split_key = fingerprint(self.data_key, self.split.name, options.salt, options.fold)
        self.ledger = TestLedger(options.out / "test_reads.json", options.again)
        limits = config.history
        self.history = HistoryIndex(self.dataset, limits.clicks, limits.impressions, self.split.exclude_items)
        self.report: dict[str, Any] = {}
        self.text: TextResult | None = None
        self.image: ImageResult | None = None
        self.made: dict[str, ClickModel] = {}

    def prepare(self, show_groups: bool) -> Catalog:
        """Stage 1: the catalog with modal vectors."""
        self.text, self.image = self.encoders()
        schema = self.schema(self.text, self.image)
        if show_groups:
            self.print_groups(schema, self.text, self.image)
        return self.catalog(schema, self.text, self.image).to(self.options.device)

    def run(self, catalog: Catalog) -> dict[str, Trained]:
        """Stages 2 and 3: fit every model that was asked for."""
        return {name: self.fitted(name, catalog) for name in self.options.models}

    def fitted(self, name: str, catalog: Catalog) -> Trained:
        """One model by its name."""
        config, seed = self.config, self.options.seed
        if name in BARS:
            return self.bar(name, catalog)
        if name == "ppm":
            model = self.pretrained(catalog)
            return self.scored(name, model, catalog, self.ppm_key(), self.report["ppm"])
        if name == "unified":
            return self.unified(catalog, self.pretrained(catalog))
        if name in HOST_MODELS:
            config = replace(config, host=replace(config.host, kind=name))
        dropping = Dropping(item_id=config.host.drop_item_id, user_id=config.host.drop_user_id)
        if name == "idrec-vectors":
            model = self.ready(make_with_vectors(catalog.schema, config, seed), catalog)
            dropping = replace(dropping, item=config.ppm.drop_item)
            for part in model.parts():
                if isinstance(part, FrozenVectors):
                    part.projection.whiten(catalog.modal.cpu(), catalog.present.cpu())
            return self.click_model(name, name, model, catalog, dropping, self.key(config))
        model = self.ready(make_idrec(catalog.schema, config, seed), catalog)
        key = self.key(config.host, config.covisits, config.unified, config.calibration, config.categories_length)
        return self.click_model(name, "idrec", model, catalog, dropping, key)

    def bar(self, name: str, catalog: Catalog) -> Trained:
        """A model without a network; equal for all seeds but for the vectors it reads."""
        key = self.key(name, self.config.text, self.config.image, self.options.no_test)
        stored = self.cache.path(name, key, "json").is_file()
        if not stored and not self.options.no_test:
            self.ledger.read(self.split_key, name, self.options.seed, key)

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            on_cpu = catalog.to(torch.device("cpu"))
            valid, test = BARS[name](Bar(self.dataset, self.split, self.history, on_cpu))
            found = {"valid": torch.from_numpy(valid.astype(np.float64))}
            if not self.options.no_test:
                found["test"] = torch.from_numpy(test.astype(np.float64))
            return found, {}

        made = self.cache.get_or_make(name, key, make)
        test = None if self.options.no_test else made.tensors["test"].numpy()
        return self.calibrated(name, None, made.tensors["valid"].numpy(), test, {})

    def encoders(self) -> tuple[TextResult | None, ImageResult | None]:
        """Stage 1."""
        data, train = self.dataset, self.split.train
        content = Content(self.options.dataset, data.titles, data.texts, data.categories, data.images)
        pairs = clicked_pairs(train.user, train.item, train.label)
        training = Training(self.cache, self.data_key, pairs, self.split_key, self.options.seed, self.options.device)
        text = text_stage(content, self.config.text, training)
        image = image_stage(content, self.config.image, training)
        for name, made in (("text", text), ("image", image)):
            found = "none" if made is None else f"{int(made.present.sum()):,} items"
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

    def ppm_key(self) -> str:
        """Fingerprint of pre-training."""
        config = self.config
        return self.key(
            config.text, config.image, config.ppm, config.next_clicks, config.unified, config.categories_length
        )

    def pretrained(self, catalog: Catalog) -> ClickModel:
        """Stage 2."""
        config = self.config
        model = make_pretrained(catalog.schema, config, self.options.seed)
        key = self.ppm_key()

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            part = newest(self.split.train, config.ppm.window, self.clicks_only)
            batchers = self.batcher(part, True), self.batcher(self.split.valid)
            start = self.next_clicks(catalog) if config.next_clicks.epochs else None
            checkpoint = self.checkpoint("ppm", key)
            trained, result = pretrain(catalog, *batchers, config, self.options.seed, checkpoint, start)
            long = {"next_clicks": self.report.pop("next_clicks")} if start else {}
            return trained.state_dict(), {"fit": result.summary()} | long

        made = self.cache.get_or_make("ppm", key, make)
        model.load_state_dict(made.tensors)
        if "ppm" not in self.report:
            say(f"ppm pre-training: {fit_note(made.report)}{reused_note(made.reused)}")
        self.report["ppm"] = made.report
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

    def next_clicks(self, catalog: Catalog) -> ClickModel:
        """Stage 2, first part: PPM after next-click pre-training."""
        config, seed = self.config, self.options.seed
        model = make_pretrained(catalog.schema, config, seed)

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            trained, result = pretrain_next_clicks(catalog, self.sequences, config, seed)
            return trained.state_dict(), result.summary()

        key = self.key(config.text, config.image, config.ppm, config.next_clicks, config.unified)
        made = self.cache.get_or_make("next_clicks", key, make)
        model.load_state_dict(made.tensors)
        self.report["next_clicks"] = made.report
        return model.to(catalog.modal.device)

    def checkpoint(self, name: str, key: str) -> Checkpoint:
        """Where a fit keeps what it needs to go on after a kill."""
        return Checkpoint(self.cache.path(name, key, "checkpoint"), self.options.resume)

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
            ranking=config.ranking,
        )

    def unified(self, catalog: Catalog, ppm: ClickModel) -> Trained:
        """Stage 3: PPM plugged in."""
        config = self.config
        model = self.ready(make_unified(catalog.schema, config, self.options.seed), catalog)
        model.start_from(ppm)
        freeze(model, config.unified.freeze)
        dropping = Dropping(config.ppm.drop_item, config.host.drop_item_id, config.host.drop_user_id)
        return self.click_model("unified", "unified", model, catalog, dropping, self.key(config))

    def click_model(
        self, name: str, stage: str, model: ClickModel, catalog: Catalog, dropping: Dropping, key: str
    ) -> Trained:
        """Train (or reuse) one model, then score."""
        model = model.to(self.options.device)

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            part = newest(self.split.train, self.config.unified.window, self.clicks_only)
            batchers = self.batcher(part, True), self.batcher(self.split.valid)
            options = self.options_for(name, dropping)
            result = fit(model, catalog, *batchers, options, self.checkpoint(stage, key))
            return model.state_dict(), {"fit": result.summary()}

        made = self.cache.get_or_make(stage, key, make)
        model.load_state_dict(made.tensors)
        say(f"{name}: {fit_note(made.report)}{reused_note(made.reused)}")
        return self.scored(name, model, catalog, key, made.report)

    def scored(self, name: str, model: ClickModel, catalog: Catalog, key: str, report: dict[str, Any]) -> Trained:
        """Predict (or reuse predictions of) both later parts; calibrate on the validation part."""
        model.to(self.options.device)

        def logits(part: str) -> np.ndarray:
            examples = getattr(self.split, part)

            def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
                if part == "test":
                    self.ledger.read(self.split_key, name, self.options.seed, key)
                found = predict(model, catalog, self.batcher(examples), f"{name} {part}")
                return {"logits": torch.from_numpy(found)}, {}

            return self.cache.get_or_make(f"{name}-{part}", key, make).tensors["logits"].numpy()

        test = None if self.options.no_test else logits("test")
        return self.calibrated(name, model.cpu().eval(), logits("valid"), test, report)

    def calibrated(
        self, name: str, model: ClickModel | None, valid: np.ndarray, test: np.ndarray | None, report: dict[str, Any]
    ) -> Trained:
        """Calibrate on the validation part and measure."""
        calibration = calibrate(self.config.calibration, valid, self.split.valid.label)
        measured: dict[str, Any] = {"calibration": calibration}
        for place, found, part in (("valid", valid, self.split.valid), ("test", test, self.split.test)):
            if found is not None:
                measured[place] = finite(evaluate(part.user, part.label, apply(calibration, found)))
        measured["test_reads"] = self.ledger.readings(self.split_key, name, self.options.seed)
        return Trained(model, valid, test, calibration, report | measured)

    def export(self, catalog: Catalog, models: dict[str, Trained]) -> dict[str, Any]:
        """Stage 4: the bundle; gives what the report says of it."""
        text, image, unified = self.text, self.image, models["unified"].model
        if unified is None:
            raise ValueError("a bundle needs the model `unified`")
        data = self.dataset
        texts = Content(self.options.dataset, data.titles, data.texts, data.categories, data.images).texts()
        samples = tuple(row for row in texts if row)[:5]
        served = {name: models[name] for name in ("idrec", "unified") if name in models}
        bundle = Bundle(
            name=bundle_name(data.meta.name),
            time=data.meta.time,
            schema=catalog.schema,
            unified=unified,
            idrec=models["idrec"].model if "idrec" in models else None,
            text=TextPart(text.encoder, text.tokenizer, self.config.text.max_tokens, samples) if text else None,
            image=ImagePart(image.encoder, self.config.image) if image else None,
            calibration={name: trained.calibration for name, trained in served.items()},
            metrics={
                name: {part: trained.report[part] for part in ("valid", "test") if part in trained.report}
                for name, trained in served.items()
            }
            | {"split": self.split.name, "seed": self.options.seed},
            seed=self.options.seed,
            config=self.config,
        )
        manifest = export_bundle(bundle, self.options.out / "bundle")
        return {
            "version": manifest["version"],
            "bytes": sum(entry["bytes"] for entry in manifest["files"].values()),
            "onnx_difference": manifest["metrics"]["onnx_difference"],
        }


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
    return f"validation loss {best:.4f}, {summary['rows']:,} rows in {summary['seconds']:.0f} s"


def bundle_name(name: str) -> str:
    """A data set's name in lower case, anything but letters, digits and hyphens replaced."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return kept.strip("-") or "dataset"
