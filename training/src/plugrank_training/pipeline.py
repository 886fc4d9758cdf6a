"""One training run: encoders, PPM pre-training, models with and without it, calibration, export."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plugrank_training.bar_inputs import Bar
from plugrank_training.bars import BARS, BARS_VERSION
from plugrank_training.batches import Batcher, Dropping
from plugrank_training.catalog import Catalog
from plugrank_training.checkpoint import Checkpoint
from plugrank_training.config import Config
from plugrank_training.console import fit_note, reused_note, say
from plugrank_training.content import ImageResult, TextResult, Training, clicked_pairs
from plugrank_training.covisits import covisit_factors, fill_covisits
from plugrank_training.export import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.frozen_cache import FrozenCache
from plugrank_training.groups import freeze
from plugrank_training.history import HistoryIndex
from plugrank_training.loaded import Loaded
from plugrank_training.models.build import make_idrec, make_pretrained, make_unified, make_with_vectors
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.frozen_vectors import FrozenVectors
from plugrank_training.next_clicks import ClickSequences
from plugrank_training.options import HOST_MODELS, Options
from plugrank_training.prepare import Prepared, content_of, prepare_encoders
from plugrank_training.pretrain import newest, pretrain, pretrain_next_clicks, whiten
from plugrank_training.splits import Examples, default_split, make_split
from plugrank_training.stages import StageCache, fingerprint
from plugrank_training.test_ledger import TestLedger
from plugrank_training.train import FitOptions, fit, predict
from plugrank_training.trained import Trained


class Pipeline:
    """One run over one data set, split, fold and seed; every stage is reused where nothing it depends on changed."""

    def __init__(self, options: Options, config: Config, loaded: Loaded | None = None) -> None:
        config.check()
        self.options = options
        loaded = loaded or Loaded.read(options.dataset, options.out / "stages")
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
        # All splits share one index but those that hide items.
        kept = self.data_key if self.split.exclude_items is None else self.split_key
        index = self.cache.folder / f"histories-{kept}"
        self.history = HistoryIndex(self.dataset, limits.clicks, limits.impressions, self.split.exclude_items, index)
        self.frozen = FrozenCache(self.cache.folder, self.split_key)
        self.report: dict[str, Any] = {}
        self.text: TextResult | None = None
        self.image: ImageResult | None = None
        self.made: dict[str, ClickModel] = {}

    def prepare(self, show_groups: bool) -> Catalog:
        """Stage 1: the catalog with modal vectors."""
        train = self.split.train
        content = content_of(self.options.dataset, self.dataset)
        pairs = clicked_pairs(train.user, train.item, train.label)
        training = Training(self.cache, self.data_key, pairs, self.split_key, self.options.seed, self.options.device)
        self.text, self.image = prepare_encoders(content, self.config, training)
        prepared = Prepared(self.dataset, self.split, self.config, self.text, self.image)
        catalog = prepared.catalog()
        if show_groups:
            say("\n" + prepared.groups() + "\n")
        return catalog.to(self.options.device)

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
                    whiten(part.projection, catalog)
            return self.click_model(name, name, model, catalog, dropping, self.key(config))
        model = self.ready(make_idrec(catalog.schema, config, seed), catalog)
        key = self.key(config.host, config.covisits, config.unified, config.calibration, config.categories_length)
        return self.click_model(name, "idrec", model, catalog, dropping, key)

    def bar(self, name: str, catalog: Catalog) -> Trained:
        """A model without a network; equal for all seeds but for the vectors it reads."""
        key = self.key(name, BARS_VERSION, self.config.text, self.config.image, self.options.no_test)
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
            config.text,
            config.image,
            config.ppm,
            config.similarity,
            config.next_clicks,
            config.unified.pretraining(),
            config.categories_length,
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

        # Of `ppm` all but how it is then fitted to rows.
        kept = replace(config.ppm, epochs=0, window=1.0, learning_rate=0.0, weight_decay=0.0)
        head = config.unified.pretraining(), config.categories_length
        key = self.key(config.text, config.image, kept, config.similarity, config.next_clicks, *head)

        def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
            checkpoint = self.checkpoint("next_clicks", key)
            trained, result = pretrain_next_clicks(catalog, self.sequences, config, seed, checkpoint)
            return trained.state_dict(), result.summary()

        made = self.cache.get_or_make("next_clicks", key, make)
        model.load_state_dict(made.tensors)
        self.report["next_clicks"] = made.report
        return model.to(catalog.present.device)

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
            stored = self.frozen.attach(model, catalog, batchers)
            result = fit(model, stored, *batchers, options, self.checkpoint(stage, key))
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
                batcher = self.batcher(examples)
                found = predict(model, self.frozen.attach(model, catalog, [batcher]), batcher, f"{name} {part}")
                return {"logits": torch.from_numpy(found)}, {}

            return self.cache.get_or_make(f"{name}-{part}", key, make).tensors["logits"].numpy()

        test = None if self.options.no_test else logits("test")
        return self.calibrated(name, model.cpu().eval(), logits("valid"), test, report)

    def calibrated(
        self, name: str, model: ClickModel | None, valid: np.ndarray, test: np.ndarray | None, report: dict[str, Any]
    ) -> Trained:
        """Calibrate on the validation part and measure."""
        reads = {"test_reads": self.ledger.readings(self.split_key, name, self.options.seed)}
        return Trained.measured(model, (valid, test), self.split, self.config.calibration, report | reads)

    def export(self, catalog: Catalog, models: dict[str, Trained]) -> dict[str, Any]:
        """Stage 4: the bundle; gives what the report says of it. Raises `ValueError` without a model `unified`."""
        text, image, unified = self.text, self.image, models["unified"].model
        if unified is None:
            raise ValueError("a bundle needs the model `unified`")
        texts = content_of(self.options.dataset, self.dataset).texts()
        samples = tuple(row for row in texts if row)[:5]
        served = {name: models[name] for name in ("idrec", "unified") if name in models}
        return export_summary(
            Bundle(
                name=bundle_name(self.dataset.meta.name),
                time=self.dataset.meta.time,
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
            ),
            self.options.out / "bundle",
        )


def export_summary(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Write a bundle; what the report says of it."""
    manifest = export_bundle(bundle, folder)
    return {
        "version": manifest["version"],
        "bytes": sum(entry["bytes"] for entry in manifest["files"].values()),
        "onnx_difference": manifest["metrics"]["onnx_difference"],
    }


def bundle_name(name: str) -> str:
    """A data set's name in lower case, anything but letters, digits and hyphens replaced."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return kept.strip("-") or "dataset"
