"""Stage 4: the bundle of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugrank_training.evaluate.trained import Trained
from plugrank_training.export.bundle import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.fit.prepare import Prepared, content_of
from plugrank_training.fit.run import Run


def bundle_of(run: Run, prepared: Prepared, models: Mapping[str, Trained]) -> Bundle:
    """The bundle in memory. Raises `ValueError` without a model `unified`."""
    text, image = prepared.encoders.text, prepared.encoders.image
    unified = models["unified"].model if "unified" in models else None
    if unified is None:
        raise ValueError("a bundle needs the model `unified`")
    samples = tuple(row for row in content_of(run.options.dataset, run.dataset).texts() if row)[:5]
    served = {name: models[name] for name in ("idrec", "unified") if name in models}
    metrics: dict[str, Any] = {
        name: {part: trained.report[part] for part in ("valid", "test") if part in trained.report}
        for name, trained in served.items()
    }
    return Bundle(
        name=bundle_name(run.dataset.meta.name),
        time=run.dataset.meta.time,
        schema=prepared.catalog.schema,
        unified=unified,
        idrec=models["idrec"].model if "idrec" in models else None,
        text=TextPart(text.encoder, text.tokenizer, run.config.text.max_tokens, samples) if text else None,
        image=ImagePart(image.encoder, run.config.image) if image else None,
        calibration={name: trained.calibration for name, trained in served.items()},
        metrics=metrics | {"split": run.split.name, "seed": run.options.seed},
        seed=run.options.seed,
        config=run.config,
    )


def export_run(run: Run, prepared: Prepared, models: Mapping[str, Trained]) -> dict[str, Any]:
    """Write the bundle to `OUT/bundle`; gives what the report says of it."""
    return export_summary(bundle_of(run, prepared, models), run.options.out / "bundle")


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
