"""Writes the bundle of a network that was trained elsewhere (docs/serve-your-own-model.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from plugrank_training.export.bundle import Bundle, export_bundle
from plugrank_training.models.branch import Branch
from plugrank_training.models.branch_model import BranchModel, ItemVector
from plugrank_training.models.inputs import Named
from plugrank_training.models.own_features import Features
from plugrank_training.models.row_host import RowHost, RowModel


def export_module(
    model: RowModel | Branch,
    features: Features,
    *,
    item_vector: str | nn.Embedding | ItemVector | None,
    out: str | Path,
    name: str = "model",
    time: str = "ms",
    calibration: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a bundle of `model` to `out`: graphs, vocabularies, manifest, reference rows; gives the manifest.

    A `RowModel` gives a logit for each of the features' tasks and runs whole for every candidate; a `Branch` is cut by
    its author, and its logit is prior + bias + the sum of `cross`. `item_vector` is what candidates are found by:
    an embedding table of item ids, a function of the item's ids by feature, the name of an output of the branch, or
    None for a model that ranks what other sources retrieve. `time` is that of the data set; without a `calibration`
    (docs/bundle-format.md), of the main task or by task, a probability is the logit's sigmoid.

    Raises `ValueError` where the features or the model do not fit, `ExportError` where ONNX Runtime computes something
    else than torch.
    """
    whole = as_model(model, features, item_vector)
    return export_bundle(
        Bundle(
            name=name,
            time=time,
            schema=features.schema(),
            unified=whole,
            idrec=None,
            text=None,
            image=None,
            calibration={"unified": calibrations(calibration, features.tasks)} if calibration else {},
            metrics=dict(metrics or {}),
            item_vector=whole.vector_output,
        ),
        Path(out),
    )


def as_model(
    model: RowModel | Branch, features: Features, item_vector: str | nn.Embedding | ItemVector | None
) -> BranchModel:
    """A network as a whole model that reads a bundle's ids. Raises `ValueError` where they do not fit."""
    own_ids = features.own_ids()
    branch = model if isinstance(model, Branch) else hosted(model, features)
    vector = IdVector(item_vector, item_id_feature(features)) if isinstance(item_vector, nn.Embedding) else item_vector
    return BranchModel(branch, vector, own_ids, features.tasks).cpu().eval()


def hosted(model: RowModel, features: Features) -> RowHost:
    """A model of rows as a branch. Raises `ValueError` where it does not give a logit for each task."""
    schema = features.own_schema()
    if model.output_dim != len(features.tasks):
        raise ValueError(
            f"output_dim is {model.output_dim}: a model that is exported by itself gives one logit a row for each of "
            f"its tasks, {', '.join(features.tasks)}"
        )
    return RowHost(schema, model)


def calibrations(given: Mapping[str, Any], tasks: tuple[str, ...]) -> dict[str, Any]:
    """Calibrations by task; one alone is the main task's."""
    if "method" in given:
        return {tasks[0]: dict(given)}
    strange = sorted(set(given) - set(tasks))
    if strange:
        raise ValueError(f"calibration: there is no task `{strange[0]}`; there are {', '.join(tasks)}")
    return dict(given)


def item_id_feature(features: Features) -> str:
    """The feature that holds the item's id. Raises `ValueError` without one."""
    for name, own in features.item.items():
        if (own.column or name) == "item_id":
            return name
    raise ValueError("no item feature has the column `item_id`, so an embedding table cannot give the item's vector")


class IdVector(nn.Module):
    """An item's row in an embedding table."""

    def __init__(self, table: nn.Embedding, feature: str) -> None:
        super().__init__()
        self.table, self.feature = table, feature

    def forward(self, ids: Named) -> Any:
        """Ids by feature, int64 `[n]` -> f32 `[n, d]`."""
        return self.table(ids[self.feature])
