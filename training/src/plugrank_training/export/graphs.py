"""The ONNX graphs of a bundle: which part of the model each is, and where its inputs come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.pretrained_text import PretrainedText
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.torchvision_image import TorchvisionImage
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import ItemInputs
from plugrank_training.models.schema import Schema

Shape = tuple[str | int, ...]


@dataclass(frozen=True)
class Port:
    """One input or output of a graph, as the manifest describes it."""

    name: str
    dtype: str
    shape: Shape
    # Where the runtime takes it from; empty for outputs.
    source: str = ""

    def manifest(self) -> dict[str, Any]:
        """Its entry in the manifest."""
        entry: dict[str, Any] = {"name": self.name}
        if self.source:
            entry["source"] = self.source
        return entry | {"dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Graph:
    """A module whose positional arguments are `inputs` and whose results are `outputs`, in order."""

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def file(self) -> str:
        """Its file in the bundle."""
        return f"{self.name}.onnx"


def feature_port(prefix: str, source: str, feature: Feature, leading: Shape) -> Port:
    """The port of a feature: `leading`, and its length where that is not 1."""
    tail: Shape = () if feature.length == 1 else (feature.length,)
    return Port(f"{prefix}_{feature.name}", "i64", leading + tail, f"{source}.feature.{feature.name}")


def no_content() -> Tensor:
    """Modal vectors, or presence, of items for a model that reads none."""
    return torch.zeros((1, 0))


class ItemEncoderGraph(nn.Module):
    """Modal vector and presence (where the bundle has modalities) and features to everything that is cached with an
    item, in the cache's dtype."""

    def __init__(self, model: CutModel, schema: Schema) -> None:
        super().__init__()
        self.model, self.schema = model, schema

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and results in the order of the graph's ports."""
        modal, present, *rest = inputs if self.schema.parts else (no_content(), no_content(), *inputs)
        features = {f.name: ids for f, ids in zip(self.schema.item, rest, strict=True)}
        made = self.model.encode_items(ItemInputs(modal, present, features))
        return self.model.to_cache(made)


class UserEncoderGraph(nn.Module):
    """History and user features to everything that is cached with a user, in the cache's dtype."""

    def __init__(self, model: CutModel, schema: Schema, history: Sequence[str]) -> None:
        super().__init__()
        self.model, self.schema, self.history = model, schema, tuple(history)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs and results in the order of the graph's ports."""
        count = len(self.history)
        items = {name: value.float() for name, value in zip(self.history, inputs[:count], strict=True)}
        label, age, mask = inputs[count : count + 3]
        features = {f.name: ids for f, ids in zip(self.schema.user, inputs[count + 3 :], strict=True)}
        state = self.model.encode_users(items, label, age, mask, features)
        return self.model.to_cache(state)


class UnifiedGraph(nn.Module):
    """User states and candidates' item records to logits."""

    def __init__(self, model: CutModel, state: Sequence[str], candidate: Sequence[str]) -> None:
        super().__init__()
        self.model, self.state, self.candidate = model, tuple(state), tuple(candidate)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs in the order of the graph's ports; logits."""
        count = len(self.state)
        state = {name: value.float() for name, value in zip(self.state, inputs[:count], strict=True)}
        given = inputs[count : count + len(self.candidate)]
        candidate = {name: value.float() for name, value in zip(self.candidate, given, strict=True)}
        return self.model.score(state, candidate, inputs[-1])


class IdrecGraph(nn.Module):
    """IDRec in one graph: features of history, user and candidates to logits."""

    def __init__(self, model: CutModel, schema: Schema) -> None:
        super().__init__()
        self.model, self.schema = model, schema

    def items(self, ids: Sequence[Tensor]) -> dict[str, Tensor]:
        """Encodes items given by features `[users, n(, length)]`; results are `[users, n, d]`."""
        flat = {f.name: rows.flatten(0, 1) for f, rows in zip(self.schema.item, ids, strict=True)}
        made = self.model.encode_items(ItemInputs(no_content(), no_content(), flat))
        return {name: value.unflatten(0, ids[0].shape[:2]) for name, value in made.items()}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs in the order of the graph's ports; logits."""
        count = len(self.schema.item)
        history = self.items(inputs[:count])
        label, age, mask = inputs[count : count + 3]
        rest = inputs[count + 3 :]
        users = {f.name: ids for f, ids in zip(self.schema.user, rest, strict=False)}
        candidates = self.items(rest[len(self.schema.user) : -1])
        return self.model.score(self.model.encode_users(history, label, age, mask, users), candidates, rest[-1])


def history_ports() -> tuple[Port, ...]:
    """Labels, ages and mask of the history."""
    return (
        Port("history_label", "i64", ("users", "history"), "history.label"),
        Port("history_age_bucket", "i64", ("users", "history"), "history.age_bucket"),
        Port("history_mask", "f32", ("users", "history"), "history.mask"),
    )


RECENCY = Port("recency_bucket", "i64", ("users",), "request.recency_bucket")
LOGIT = Port("logit", "f32", ("users", "candidates"))


def sizes(model: CutModel, schema: Schema) -> tuple[dict[str, int], dict[str, Shape]]:
    """Widths of the item outputs and shapes of the user states, found by running the model once."""
    item = ItemInputs(
        torch.zeros(1, schema.modal_dim),
        torch.zeros(1, len(schema.parts)),
        {f.name: torch.zeros((1,) if f.length == 1 else (1, f.length), dtype=torch.long) for f in schema.item},
    )
    zeros = torch.zeros(1, 1, dtype=torch.long)
    user = {f.name: torch.zeros((1,) if f.length == 1 else (1, f.length), dtype=torch.long) for f in schema.user}
    with torch.no_grad():
        made = model.encode_items(item)
        entry = {name: value.unsqueeze(0) for name, value in made.items()}
        state = model.encode_users(entry, zeros, zeros, torch.zeros(1, 1), user)
    shapes: dict[str, Shape] = {
        name: ("users", *(("history",) if value.dim() == 3 else ()), value.shape[-1]) for name, value in state.items()
    }
    return {name: value.shape[-1] for name, value in made.items()}, shapes


def unified_graphs(model: CutModel, schema: Schema) -> list[Graph]:
    """`item_encoder`, `user_encoder` and `unified`, cut at the cache borders."""
    widths, states = sizes(model, schema)
    history, candidate = model.history_outputs(), model.candidate_outputs()
    cache = model.cache_dtype
    modal_inputs = [
        Port("modal", "f32", ("items", schema.modal_dim), "item.modal"),
        Port("modal_present", "f32", ("items", len(schema.parts)), "item.modal_present"),
    ]
    item_inputs = [
        *(modal_inputs if schema.parts else []),
        *(feature_port("item", "item", f, ("items",)) for f in schema.item),
    ]
    user_inputs = [
        *(Port(f"history_{n}", cache, ("users", "history", widths[n]), f"history.item.{n}") for n in history),
        *history_ports(),
        *(feature_port("user", "user", f, ("users",)) for f in schema.user),
    ]
    unified_inputs = [
        *(Port(f"user_{n}", cache, shape, f"user.state.{n}") for n, shape in states.items()),
        *(Port(f"candidate_{n}", cache, ("users", "candidates", widths[n]), f"candidate.item.{n}") for n in candidate),
        RECENCY,
    ]
    return [
        Graph(
            "item_encoder",
            ItemEncoderGraph(model, schema),
            tuple(item_inputs),
            tuple(Port(name, cache, ("items", width)) for name, width in widths.items()),
        ),
        Graph(
            "user_encoder",
            UserEncoderGraph(model, schema, history),
            tuple(user_inputs),
            tuple(Port(name, cache, shape) for name, shape in states.items()),
        ),
        Graph("unified", UnifiedGraph(model, list(states), candidate), tuple(unified_inputs), (LOGIT,)),
    ]


def idrec_graph(model: CutModel, schema: Schema) -> Graph:
    """IDRec alone."""
    inputs = [
        *(feature_port("history", "history", f, ("users", "history")) for f in schema.item),
        *history_ports(),
        *(feature_port("user", "user", f, ("users",)) for f in schema.user),
        *(feature_port("candidate", "candidate", f, ("users", "candidates")) for f in schema.item),
        RECENCY,
    ]
    return Graph("idrec", IdrecGraph(model, schema), tuple(inputs), (LOGIT,))


def text_graph(encoder: TextEncoder | PretrainedText) -> Graph:
    """The text encoder."""
    inputs = (
        Port("token_ids", "i64", ("batch", "tokens"), "text.token_ids"),
        Port("mask", "i64", ("batch", "tokens"), "text.mask"),
    )
    return Graph("text_encoder", encoder, inputs, (Port("text_vector", "f32", ("batch", encoder.dim)),))


def image_graph(encoder: ImageEncoder | TorchvisionImage, width: int, height: int) -> Graph:
    """The image encoder."""
    pixels = Port("pixels", "f32", ("batch", 3, height, width), "image.pixels")
    return Graph("image_encoder", encoder, (pixels,), (Port("image_vector", "f32", ("batch", encoder.dim)),))
