"""PPM plugged into a network that was trained elsewhere and stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from plugrank_training.config import Config
from plugrank_training.console import say
from plugrank_training.device import choose_device
from plugrank_training.evaluate.trained import Trained
from plugrank_training.export.bundle import Bundle, ImagePart, TextPart
from plugrank_training.export.module import as_model
from plugrank_training.fit.export_stage import bundle_name, export_summary
from plugrank_training.fit.prepare import Prepared, content_of, prepare
from plugrank_training.fit.pretrain import newest
from plugrank_training.fit.run import Run, open_run
from plugrank_training.fit.stages import Pretrained, fit_options, pretrain_plugin
from plugrank_training.fit.train import fit, predict_tasks
from plugrank_training.models.branch import Branch
from plugrank_training.models.branch_model import BranchModel
from plugrank_training.models.build import make_plugged
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.frozen_host import FrozenHost
from plugrank_training.models.own_features import Features
from plugrank_training.models.registry import NETWORKS, PPM
from plugrank_training.models.row_host import RowModel
from plugrank_training.options import Options


@dataclass(frozen=True)
class Plugged:
    """The outcome."""

    # Metrics of the validation part: the host alone, and with PPM.
    host: dict[str, Any]
    unified: dict[str, Any]
    bundle: dict[str, Any]


def plug_ppm(
    model: RowModel | Branch,
    features: Features,
    *,
    dataset: str | Path,
    out: str | Path,
    config: Config | None = None,
    split: str | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Plugged:
    """Pre-train PPM on a dataset folder, plug it into `model`, which stays as it is, and write `out/bundle`.

    The bundle's `unified` is both, its `idrec` the host alone. The test part of the split is left alone.
    Raises `ValueError` where the folder does not have what the host reads.
    """
    run = open_run(options_of(Path(dataset), Path(out), split, seed, device), suited(config or Config(), features))
    prepared = prepare(run, show_groups=False, features=features)
    host = as_model(model, features, None).to(run.options.device)
    alone = judged(run, prepared, host, "host", {})
    ppm = pretrain_plugin(run, prepared, PPM)
    unified = plugged(run, prepared, ppm, host, offsets(alone))
    report = train(run, prepared, unified)
    both = judged(run, prepared, unified, "unified", report)
    for name, trained in (("host", alone), ("unified", both)):
        valid = trained.report["valid"]
        say(f"{name}: validation AUC {valid['auc']:.4f}, log loss {valid['log_loss']:.4f}")
    bundle = export_summary(
        bundle_of(run, prepared, unified, host, {"unified": both, "idrec": alone}), Path(out) / "bundle"
    )
    return Plugged(alone.report["valid"], both.report["valid"], bundle)


def options_of(dataset: Path, out: Path, split: str | None, seed: int, device: str) -> Options:
    """A run that leaves the test part alone."""
    return Options(
        dataset=dataset,
        out=out,
        split=split,
        salt="plugrank",
        fold=None,
        seed=seed,
        device=choose_device(device),
        no_test=True,
    )


def suited(config: Config, features: Features) -> Config:
    """Histories as the host reads them, and nothing beside it and PPM."""
    history = replace(config.history, clicks=features.clicks, impressions=features.impressions)
    drop = config.host.drop_user_id if "user_id" in [feature.name for feature in features.schema().user] else 0.0
    host = replace(config.host, drop_user_id=drop, popularity=False)
    return replace(config, history=history, host=host, covisits=replace(config.covisits, dim=0), cache_dtype="f32")


def offsets(alone: Trained) -> list[float]:
    """Means of the host's logits, one a task, over what was calibrated on."""
    return [float(alone.valid.mean()), *alone.report["further_means"]]


def plugged(run: Run, prepared: Prepared, ppm: Pretrained, host: BranchModel, offset: Sequence[float]) -> ClickModel:
    """PPM and the host under one head, before it trains: the host's logit, less its mean, is added to PPM's."""
    torch.manual_seed(run.options.seed)
    branches: dict[str, Branch] = {
        **make_plugged(prepared.catalog.schema, run.config),
        "host": FrozenHost(host, offset),
    }
    model = ClickModel(branches, run.config.unified, run.config.history, False, prepared.catalog.schema)
    model.start_from(ppm.model)
    with torch.no_grad():
        if isinstance(model.wide_cross, nn.Linear):
            # The last outputs are the host's, the first of them its main task's.
            model.wide_cross.weight[:, -len(host.tasks)] = 1.0
    return model.to(run.options.device)


def train(run: Run, prepared: Prepared, model: ClickModel) -> dict[str, Any]:
    """Train PPM and the head."""
    options = fit_options("unified", run.config, run.options.seed, NETWORKS["unified"])
    part = newest(run.split.train, run.config.unified.window, run.clicks_only)
    batchers = run.batcher(part, True), run.batcher(run.split.valid)
    return {"fit": fit(model, prepared.catalog, *batchers, options).summary()}


def judged(run: Run, prepared: Prepared, model: CutModel, name: str, report: dict[str, Any]) -> Trained:
    """Score the validation part, calibrate on it and measure."""
    logits = predict_tasks(model, prepared.catalog, run.batcher(run.split.valid), f"{name} valid")
    report = report | {"further_means": logits[:, 1:].mean(axis=0).tolist()}
    return Trained.measured(None, (logits, None), run.split, run.config.calibration, report, model.tasks[1:])


def bundle_of(
    run: Run, prepared: Prepared, unified: ClickModel, host: BranchModel, trained: dict[str, Trained]
) -> Bundle:
    """The bundle in memory."""
    text, image = prepared.encoders.text, prepared.encoders.image
    samples = tuple(row for row in content_of(run.options.dataset, run.dataset).texts() if row)[:5]
    return Bundle(
        name=bundle_name(run.dataset.meta.name),
        time=run.dataset.meta.time,
        schema=prepared.catalog.schema,
        unified=unified.cpu().eval(),
        idrec=host.cpu().eval(),
        text=TextPart(text.encoder, text.tokenizer, run.config.text.max_tokens, samples) if text else None,
        image=ImagePart(image.encoder, run.config.image) if image else None,
        calibration={name: one.calibrations() for name, one in trained.items()},
        metrics={name: {"valid": one.report["valid"]} for name, one in trained.items()}
        | {"split": run.split.name, "seed": run.options.seed},
        seed=run.options.seed,
    )
