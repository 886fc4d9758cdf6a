"""Models that FuxiCTR trained (https://github.com/reczoo/FuxiCTR), from the files it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from plugrank_training.models.fuxictr import build_model, replace_pooling
from plugrank_training.models.inputs import Named
from plugrank_training.models.own_features import Category, Features, Number, OwnFeature
from plugrank_training.models.row_host import RowModel, Rows

# Reserved words of a vocabulary.
PADDING, UNKNOWN = "__PAD__", "__OOV__"


@dataclass(frozen=True)
class FuxiCtr:
    """What `export_module` and `plug_ppm` take."""

    model: FuxiTrained
    features: Features
    item_vector: FuxiItemVector


def from_fuxictr(
    checkpoint: str | Path,
    feature_map: str | Path,
    vocab: str | Path,
    *,
    model: str,
    columns: Mapping[str, str] | None = None,
    numbers: Mapping[str, Number] | None = None,
    max_len: int = 50,
    **params: Any,
) -> FuxiCtr:
    """A model of FuxiCTR's `model_zoo.LongCTR` with the weights that it trained.

    `checkpoint` is its `.model` file, `feature_map` and `vocab` are `feature_map.json` and `feature_vocab.json`;
    `model` names the class (`DIN`, `DCNv2`, ...) and `params` are those of `model_config.yaml`. `columns` says which
    column of the dataset folder a feature is, where the names differ. `numbers` says what was done to a number before
    FuxiCTR read it (its normalizer lies in a pickle, which is not opened) and what stood for an absent one; without an
    entry the number is read as it is, and an absent one as 0. Histories are the last `max_len` clicks. Features whose
    source is `user` or `item` are those of users and items, `context` those of the request, `candidate` those that
    callers give for each candidate.

    Ids are translated exactly: FuxiCTR's begin at 1 and end with the unknown one, which an absent value has too.
    Raises `ValueError` where a file does not belong to the others or holds what a bundle cannot carry.
    """
    described = read_json(Path(feature_map))
    words = read_json(Path(vocab))
    specs = {name: spec for entry in described["features"] for name, spec in entry.items()}
    features = features_of(specs, words, columns or {}, numbers or {}, max_len)
    built = build_model(model, fuxi_map(described, specs, params), params)
    load_weights(built, Path(checkpoint))
    replace_pooling(built)
    trained = FuxiTrained(built.eval(), features)
    return FuxiCtr(trained, features, FuxiItemVector(built.embedding_layer, tuple(features.item)))


def read_json(path: Path) -> dict[str, Any]:
    """A file of FuxiCTR's. Raises `ValueError`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: must be a JSON object, as FuxiCTR writes it")
    return found


# FuxiCTR's sources of features, and whose they are here.
SOURCES = {"item": "item", "user": "user", "context": "request", "candidate": "candidate"}


def features_of(
    specs: Mapping[str, dict[str, Any]],
    words: Mapping[str, dict[str, int]],
    columns: Mapping[str, str],
    numbers: Mapping[str, Number],
    clicks: int,
) -> Features:
    """Features by source. Raises `ValueError`, naming all that cannot be carried."""
    for key, given in (("columns", set(columns)), ("numbers", set(numbers))):
        strange = sorted(given - set(specs))
        if strange:
            raise ValueError(f"{key}: the feature map has no feature {', '.join(strange)}")
    read: dict[str, dict[str, OwnFeature]] = {kind: {} for kind in SOURCES.values()}
    refused = []
    for name, spec in specs.items():
        if spec["type"] == "meta":
            continue
        reason = refusal(spec, name in words)
        if name in numbers and spec["type"] != "numeric":
            reason = "is no number, but `numbers` has it"
        if reason:
            refused.append(f"`{name}`: {reason}")
            continue
        made: OwnFeature
        column = columns.get(name, name)
        if spec["type"] == "numeric":
            number = numbers.get(name, Number())
            made = replace(number, column=number.column or column)
        else:
            made = category_of(spec, words[name], column)
        read[SOURCES[spec["source"]]][name] = made
    if refused:
        raise ValueError("the feature map holds what a bundle cannot carry: " + "; ".join(refused))
    return Features(
        read["item"], read["user"], clicks=clicks, impressions=0, request=read["request"], candidate=read["candidate"]
    )


def refusal(spec: Mapping[str, Any], has_words: bool) -> str:
    """Why a feature cannot be carried; empty where it can."""
    if spec["type"] not in ("categorical", "sequence", "numeric"):
        return f"is of type {spec['type']}; categories, sequences and numbers are translated"
    if spec.get("category_processor"):
        return f"is made by {spec['category_processor']}; a bundle looks values up in a vocabulary"
    if "pretrained_emb" in spec:
        return "has pre-trained embeddings, which FuxiCTR reads from a file of its own"
    if spec.get("source") not in SOURCES:
        return f"has the source `{spec.get('source', '')}`; those of {', '.join(SOURCES)} are translated"
    return "" if has_words or spec["type"] == "numeric" else "has no vocabulary"


def category_of(spec: Mapping[str, Any], words: Mapping[str, int], column: str) -> Category:
    """A feature's values with FuxiCTR's ids. Raises `ValueError` where the vocabulary is larger than its table."""
    unknown = words.get(UNKNOWN, spec["vocab_size"] - 1)
    values = {word: place for word, place in words.items() if word not in (PADDING, UNKNOWN)}
    if max(words.values()) >= spec["vocab_size"]:
        raise ValueError(
            f"column `{column}`: the vocabulary has ids up to {max(words.values())}, the feature map says "
            f"{spec['vocab_size']} in all; they are not of one training"
        )
    if spec["type"] == "sequence":
        return Category(values, column, spec["max_len"], words.get(PADDING, 0), unknown)
    # FuxiCTR replaces an absent value by one that its vocabulary does not have.
    return Category(values, column, missing=unknown, unknown=unknown)


def fuxi_map(described: Mapping[str, Any], specs: Mapping[str, dict[str, Any]], params: Mapping[str, Any]) -> Any:
    """FuxiCTR's own description of the features."""
    from fuxictr.features import FeatureMap

    made = FeatureMap(described.get("dataset_id", "data"), "")
    made.labels = list(described.get("labels", ["label"]))
    made.default_emb_dim = params.get("embedding_dim", 10)
    made.features.update(specs)
    made.num_fields = made.get_num_fields()
    return made


def load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Take over weights. Raises `ValueError` where they are those of another network."""
    try:
        weights = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{checkpoint}: does not fit the model that `params` describe: {error}") from error


class FuxiTrained(RowModel):
    """A trained model of `model_zoo.LongCTR`, which reads `(user features, item features, mask)`; ids are FuxiCTR's."""

    output_dim = 1

    def __init__(self, model: nn.Module, features: Features) -> None:
        super().__init__()
        # Of FuxiCTR's classes, which have no types.
        self.model: Any = model
        self.items, self.users = tuple(features.item), tuple(features.user)
        self.requests, self.candidates = tuple(features.request), tuple(features.candidate)

    def forward(self, rows: Rows) -> Tensor:
        """Logits `[n, 1]`."""
        # Oldest entry first and the candidate last, as FuxiCTR lays sequences out; then all in one column.
        items = {
            name: torch.cat([rows.history[name].flip(1), rows.item[name].unsqueeze(1)], dim=1).flatten(0, 1)
            for name in self.items
        }
        mask = rows.history_mask.flip(1)
        self.model.device = mask.device
        # What is not of an item is of a row to FuxiCTR, whether of user, request or candidate.
        own = {name: rows.user[name] for name in self.users}
        own |= {name: rows.request[name] for name in self.requests}
        own |= {name: rows.candidate[name] for name in self.candidates}
        logit: Tensor = self.model((own, items, mask))["y_pred"]
        return logit.reshape(-1, 1)


class FuxiItemVector(nn.Module):
    """The embeddings of an item's features side by side, which FuxiCTR's models compare candidates and history by."""

    def __init__(self, embeddings: nn.Module, items: tuple[str, ...]) -> None:
        super().__init__()
        self.embeddings, self.items = embeddings, items

    def forward(self, ids: Named) -> Tensor:
        """FuxiCTR's ids by feature -> f32 `[n, d]`."""
        vector: Tensor = self.embeddings({name: ids[name] for name in self.items}, flatten_emb=True)
        return vector
