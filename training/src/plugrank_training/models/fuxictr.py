"""FuxiCTR's models as hosts (https://github.com/reczoo/FuxiCTR), those of its package's `model_zoo`."""

from __future__ import annotations

import contextlib
import importlib
import io
import tempfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from plugrank_training.config import HostConfig
from plugrank_training.feature_config import ConfigError
from plugrank_training.models.features import Feature
from plugrank_training.models.row_host import RowModel, Rows
from plugrank_training.models.schema import Schema

ZOO = "model_zoo.LongCTR"
# Label of the history entry as one more feature of its item. FuxiCTR's pooling takes padding for zeros, so it is 0.
LABEL, REFUSED, CANDIDATE = "history_label", 1, 3
# What some models cannot be built without.
NEEDED: dict[str, dict[str, Any]] = {
    "DCNv2": {"parallel_dnn_hidden_units": [64, 32]},
    "DIN": {"dnn_hidden_units": [64, 32], "attention_hidden_units": [32], "attention_hidden_activations": "ReLU"},
    "FinalMLP": {"use_fs": False},
}


class FuxiModel(RowModel):
    """A FuxiCTR model that reads `(user features, item features of history and candidate, mask)` and gives a logit.

    It is built as a regression, so that no sigmoid ends it; its optimizer and its training loop are not used.
    `host.options` of the configuration are passed to its constructor.
    """

    output_dim = 1

    def __init__(self, schema: Schema, config: HostConfig, name: str) -> None:
        super().__init__()
        features = feature_map(schema, config.embedding_dim)
        chosen = {"embedding_dim": config.embedding_dim} | NEEDED.get(name, {}) | config.options
        try:
            self.model = build_model(name, features, chosen)
        except (TypeError, IndexError, AssertionError) as error:
            raise ConfigError(f"host.options: FuxiCTR's {name} cannot be built from them: {error}") from error
        replace_pooling(self.model)
        self.item_names = [feature.name for feature in schema.item]
        self.user_names = [feature.name for feature in schema.user]
        self.request_names = [feature.name for feature in schema.request]
        self.candidate_names = [feature.name for feature in schema.candidate]

    def forward(self, rows: Rows) -> Tensor:
        """Logits `[n, 1]`."""
        items: dict[str, Tensor] = {}
        # Padded entries hold id 0 throughout: `RowHost` sees to that.
        for name in self.item_names:
            # Oldest entry first and the candidate last, as FuxiCTR lays sequences out; then all in one column.
            items[name] = torch.cat([rows.history[name].flip(1), rows.item[name].unsqueeze(1)], dim=1).flatten(0, 1)
        mask = rows.history_mask.flip(1)
        label = (rows.history_label + REFUSED).flip(1) * mask.long()
        items[LABEL] = torch.cat([label, torch.full_like(label[:, :1], CANDIDATE)], dim=1).flatten(0, 1)
        self.model.device = mask.device
        # What is not of an item is of a row to FuxiCTR, whether of user, request or candidate.
        own = {name: rows.user[name] for name in self.user_names}
        own |= {name: rows.request[name] for name in self.request_names}
        own |= {name: rows.candidate[name] for name in self.candidate_names}
        given = (own, items, mask)
        logit: Tensor = self.model(given)["y_pred"]
        return logit.reshape(-1, 1)


class MaskedMean(nn.Module):
    """FuxiCTR's `MaskedAveragePooling` without its division by 1e-12 where all is padding.

    ONNX Runtime loses the 1e-12 and gives NaN; the result is the same, zeros.
    """

    def forward(self, rows: Tensor, mask: Tensor | None = None) -> Tensor:
        """`rows [n, L, d]`, zeros where padding, `mask [n, L]` -> `[n, d]`."""
        there = (rows.sum(-1) != 0) if mask is None else mask
        return rows.sum(1) / there.float().sum(-1, keepdim=True).clamp(min=1.0)


def replace_pooling(model: nn.Module) -> None:
    """Put `MaskedMean` in place of every `MaskedAveragePooling`."""
    from fuxictr.pytorch.layers import MaskedAveragePooling

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, MaskedAveragePooling):
                setattr(module, name, MaskedMean())


# What a model is built with to be run: a logit at its end, no metrics, no progress bar, no GPU.
TO_RUN: dict[str, Any] = {
    "verbose": 0,
    "metrics": ["AUC"],
    "optimizer": "adam",
    "loss": "mse_loss",
    "task": "regression",
    "gpu": -1,
}


def build_model(name: str, features: Any, params: Mapping[str, Any]) -> Any:
    """A model of the zoo with fresh weights, its last sigmoid left out; `params` are those of its constructor."""
    kind = find(name)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        return kind(features, **dict(params) | TO_RUN | {"model_root": folder, "model_id": name})


def find(name: str) -> Any:
    """A model class of the zoo. Raises `ConfigError` where FuxiCTR or the model is absent."""
    try:
        return getattr(importlib.import_module(f"{ZOO}.{name}.{name}"), name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.startswith(f"{ZOO}.") or missing == ZOO:
            raise ConfigError(f"host.kind: FuxiCTR's {ZOO} has no model `{name}`") from error
        raise ConfigError(
            f"host.kind: FuxiCTR cannot be imported (no module `{missing}`): pip install 'plugrank-training[fuxictr]'"
        ) from error


def feature_map(schema: Schema, dim: int) -> Any:
    """Our features as FuxiCTR describes them; ids are ours, 0 is padding in both."""
    from fuxictr.features import FeatureMap

    made = FeatureMap("plugrank", "")
    made.default_emb_dim = dim
    made.labels = ["label"]
    for source, features in (
        ("user", (*schema.user, *schema.request, *schema.candidate)),
        ("item", (*schema.item, Feature.of(LABEL, ["clicked", "candidate"]))),
    ):
        for feature in features:
            entry: dict[str, Any] = {
                "source": source,
                "type": "categorical",
                "vocab_size": feature.size,
                "padding_idx": 0,
            }
            if feature.is_number:
                if feature.length > 1:
                    raise ConfigError(f"host.kind: FuxiCTR reads no lists of numbers, as `{feature.name}` holds")
                entry = {"source": source, "type": "numeric"}
            elif feature.length > 1:
                pooled = "layers.MaskedAveragePooling()"
                entry |= {"type": "sequence", "max_len": feature.length, "feature_encoder": pooled}
            made.features[feature.name] = entry
    made.num_fields = made.get_num_fields()
    return made
