"""Stage 4: the bundle of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugrank_training.console import say
from plugrank_training.evaluate.lists.item_vectors import VECTORS
from plugrank_training.evaluate.lists.replayed_run import ListOptions, NoRequestsError, open_replay
from plugrank_training.evaluate.lists.verdict import ListComparison, compare_lists
from plugrank_training.evaluate.trained import Trained
from plugrank_training.export.bundle import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.export.graphs import sizes
from plugrank_training.fit.prepare import Prepared, content_of
from plugrank_training.fit.refit import Served
from plugrank_training.fit.run import Run
from plugrank_training.models.cut_model import CutModel


@dataclass(frozen=True)
class Verdict:
    """Whether `unified` is called better than `idrec`, which the bundle falls back to."""

    better: bool
    # Why, for a person.
    reason: str
    # None where nobody clicks anything new in the validation part.
    lists: ListComparison | None

    def summary(self) -> dict[str, Any]:
        """For manifest and report."""
        return {
            "better": self.better,
            "reason": self.reason,
            "lists": self.lists.summary() if self.lists else None,
        }


def judge_bundle(run: Run, prepared: Prepared, models: Mapping[str, Trained], accept_worse_lists: bool) -> Verdict:
    """Judge on the validation part: by AUC, and by lists from the candidates that the bundle would be served.

    A model that tells logged clicks from logged refusals better may list worse. Its bundle is not called better then,
    unless `accept_worse_lists`.
    """
    mine, theirs = (models[name].report["valid"]["auc"] for name in ("unified", "idrec"))
    try:
        replay, _ = open_replay(run, prepared, ListOptions())
    except NoRequestsError:
        return Verdict(mine > theirs, "by AUC alone: nobody clicks anything new in the validation part", None)
    lists = compare_lists(replay, models["unified"], models["idrec"])
    for name in ("unified", "idrec"):
        models[name].network().cpu().eval()
    if mine <= theirs:
        return Verdict(False, f"AUC {mine:.4f} is not above {theirs:.4f}; lists: {lists.text()}", lists)
    if lists.worse and not accept_worse_lists:
        return Verdict(False, f"AUC {mine:.4f} against {theirs:.4f}, but worse lists: {lists.text()}", lists)
    worse = "; worse lists are accepted" if lists.worse else ""
    return Verdict(True, f"AUC {mine:.4f} against {theirs:.4f}; lists: {lists.text()}{worse}", lists)


def bundle_of(run: Run, prepared: Prepared, models: Mapping[str, Trained], verdict: Verdict | None) -> Bundle:
    """The bundle in memory. Raises `ValueError` without a model `unified`."""
    text, image = prepared.encoders.text, prepared.encoders.image
    unified = models["unified"].model if "unified" in models else None
    if unified is None:
        raise ValueError("a bundle needs the model `unified`")
    samples = tuple(row for row in content_of(run.options.dataset, run.dataset).texts() if row)[:5]
    served = {name: models[name] for name in ("idrec", "unified") if name in models}
    metrics: dict[str, Any] = {
        name: {part: trained.report[part] for part in ("valid", "test", "tasks") if part in trained.report}
        for name, trained in served.items()
    }
    if verdict is not None:
        metrics["verdict"] = verdict.summary()
    return Bundle(
        name=bundle_name(run.dataset.meta.name),
        time=run.dataset.meta.time,
        schema=prepared.catalog.schema,
        unified=unified,
        idrec=models["idrec"].model if "idrec" in models else None,
        text=TextPart(text.encoder, text.tokenizer, run.config.text.max_tokens, samples) if text else None,
        image=ImagePart(image.encoder, run.config.image) if image else None,
        calibration={name: trained.calibrations() for name, trained in served.items()},
        metrics=metrics | {"split": run.split.name, "seed": run.options.seed},
        seed=run.options.seed,
        config=run.config,
    )


def export_run(run: Run, prepared: Prepared, models: Mapping[str, Trained], last: Served) -> dict[str, Any]:
    """Judge `models` on the validation part, write what is served, `last`, to `OUT/bundle`; gives what the report says
    of it."""
    verdict = None
    if "idrec" in models and "unified" in models:
        verdict = judge_bundle(run, prepared, models, run.options.accept_worse_lists)
        say(f"unified is {'' if verdict.better else 'not '}called better than idrec: {verdict.reason}")
    bundle = bundle_of(last.run, last.prepared, last.models, verdict)
    told = export_summary(bundle, run.options.out / "bundle")
    if bundle.idrec is not None:
        told["idrec_alone"] = export_idrec_alone(bundle, bundle.idrec, run.options.out)
    return told | ({"verdict": verdict.summary()} if verdict else {})


def export_idrec_alone(bundle: Bundle, idrec: CutModel, out: Path) -> dict[str, Any]:
    """Write `OUT/bundle-idrec`; what the report says of it."""
    return export_summary(idrec_alone(bundle, idrec), out / "bundle-idrec")


def idrec_alone(bundle: Bundle, idrec: CutModel) -> Bundle:
    """IDRec as a bundle of its own, for a fair comparison: cut where the unified model is cut, its item part kept in
    records and its user part in states, and found by its own vectors. In the other bundle it is what is left when
    records are not available, and so computes all of itself for every request."""
    widths, _ = sizes(idrec, schema := dataclasses.replace(bundle.schema, parts=()))
    calibration = {"unified": bundle.calibration["idrec"]} if "idrec" in bundle.calibration else {}
    return Bundle(
        name=f"{bundle.name}-idrec",
        time=bundle.time,
        schema=schema,
        unified=idrec,
        idrec=None,
        text=None,
        image=None,
        calibration=calibration,
        metrics={"unified": bundle.metrics["idrec"]} if "idrec" in bundle.metrics else {},
        seed=bundle.seed,
        item_vector=next((name for name in VECTORS if name in widths), None),
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
