"""The ONNX graphs of a bundle: which part of the model each is, and where its inputs come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.pretrained_text import PretrainedText
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.torchvision_image import TorchvisionImage
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import GIVEN, PAST, REQUEST, ItemInputs, Named
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


Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class ReadyGraph(Graph):
    """A graph that is ONNX already, so that its module does nothing, and what it must compute."""

    proto: onnx.ModelProto
    compute: Callable[[Arrays], Arrays]


def context_ports(schema: Schema) -> tuple[list[Port], list[Port]]:
    """Features of the request, and those given for candidates."""
    request = [feature_port("request", "request.feature", f, ("users",)) for f in schema.request]
    given = [feature_port("given", "candidate.given", f, ("users", "candidates")) for f in schema.candidate]
    return request, given


def context_of(schema: Schema, given: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What `CutModel.score` reads of the request and of candidates, by name; `given` as `context_ports` has them."""
    request, candidate = given[: len(schema.request)], given[len(schema.request) :]
    return (
        {f"{REQUEST}{f.name}": rows for f, rows in zip(schema.request, request, strict=True)},
        {f"{GIVEN}{f.name}": rows for f, rows in zip(schema.candidate, candidate, strict=True)},
    )


def scores(model: CutModel, state: Named, candidate: Named, recency: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Logits: one result a task."""
    if len(model.tasks) == 1:
        return model.score(state, candidate, recency)
    return model.score_tasks(state, candidate, recency).unbind(-1)


def logit_ports(model: CutModel) -> tuple[Port, ...]:
    """Outputs by the names of the tasks; `logit` where there is one alone."""
    names = model.tasks if len(model.tasks) > 1 else ("logit",)
    return tuple(Port(name, "f32", ("users", "candidates")) for name in names)


def feature_port(prefix: str, source: str, feature: Feature, leading: Shape) -> Port:
    """The port of a feature: `leading`, and its length where that is not 1."""
    tail: Shape = () if feature.length == 1 else (feature.length,)
    dtype = "f32" if feature.is_number else "i64"
    return Port(f"{prefix}_{feature.name}", dtype, leading + tail, f"{source}.{feature.name}")


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
        past, rest = past_of(self.schema, inputs[count + 3 :])
        features = {f.name: ids for f, ids in zip(self.schema.user, rest, strict=True)}
        state = self.model.encode_users(items, label, age, mask, features | past)
        return self.model.to_cache(state)


class UnifiedGraph(nn.Module):
    """User states and candidates' item records to logits."""

    def __init__(self, model: CutModel, schema: Schema, state: Sequence[str], candidate: Sequence[str]) -> None:
        super().__init__()
        self.model, self.schema, self.state, self.candidate = model, schema, tuple(state), tuple(candidate)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Inputs in the order of the graph's ports; logits by task."""
        count = len(self.state)
        end = count + len(self.candidate)
        state = {name: value.float() for name, value in zip(self.state, inputs[:count], strict=True)}
        candidate = {name: value.float() for name, value in zip(self.candidate, inputs[count:end], strict=True)}
        request, given = context_of(self.schema, inputs[end:-1])
        return scores(self.model, state | request, candidate | given, inputs[-1])


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

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Inputs in the order of the graph's ports; logits by task."""
        count = len(self.schema.item)
        history = self.items(inputs[:count])
        label, age, mask = inputs[count : count + 3]
        past, rest = past_of(self.schema, inputs[count + 3 :])
        users = {f.name: ids for f, ids in zip(self.schema.user, rest, strict=False)}
        start = len(self.schema.user)
        candidates = self.items(rest[start : start + count])
        request, given = context_of(self.schema, rest[start + count : -1])
        state = self.model.encode_users(history, label, age, mask, users | past)
        return scores(self.model, state | request, candidates | given, rest[-1])


def history_ports(schema: Schema) -> tuple[Port, ...]:
    """Labels, ages and mask of the history, then actions and values where they are read."""
    return (
        Port("history_label", "i64", ("users", "history"), "history.label"),
        Port("history_age_bucket", "i64", ("users", "history"), "history.age_bucket"),
        Port("history_mask", "f32", ("users", "history"), "history.mask"),
        *(feature_port("past", "history", feature, ("users", "history")) for feature in schema.history),
    )


def past_of(schema: Schema, inputs: Sequence[Tensor]) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
    """What `CutModel.encode_users` reads of actions and values, by name, and the inputs after these."""
    count = len(schema.history)
    past = {f"{PAST}{f.name}": rows for f, rows in zip(schema.history, inputs[:count], strict=True)}
    return past, inputs[count:]


RECENCY = Port("recency_bucket", "i64", ("users",), "request.recency_bucket")


def sizes(model: CutModel, schema: Schema) -> tuple[dict[str, int], dict[str, Shape]]:
    """Widths of the item outputs and shapes of the user states, found by running the model once."""
    item = ItemInputs(
        torch.zeros(1, schema.modal_dim),
        torch.zeros(1, len(schema.parts)),
        {f.name: torch.from_numpy(f.nothing((1,))) for f in schema.item},
    )
    zeros = torch.zeros(1, 1, dtype=torch.long)
    user = {f.name: torch.from_numpy(f.nothing((1,))) for f in schema.user}
    user |= {f"{PAST}{f.name}": torch.from_numpy(f.nothing((1, 1))) for f in schema.history}
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
        *(feature_port("item", "item.feature", f, ("items",)) for f in schema.item),
    ]
    user_inputs = [
        *(Port(f"history_{n}", cache, ("users", "history", widths[n]), f"history.item.{n}") for n in history),
        *history_ports(schema),
        *(feature_port("user", "user.feature", f, ("users",)) for f in schema.user),
    ]
    request, given = context_ports(schema)
    unified_inputs = [
        *(Port(f"user_{n}", cache, shape, f"user.state.{n}") for n, shape in states.items()),
        *(Port(f"candidate_{n}", cache, ("users", "candidates", widths[n]), f"candidate.item.{n}") for n in candidate),
        *request,
        *given,
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
        Graph(
            "unified", UnifiedGraph(model, schema, list(states), candidate), tuple(unified_inputs), logit_ports(model)
        ),
    ]


def idrec_graph(model: CutModel, schema: Schema) -> Graph:
    """IDRec alone."""
    request, given = context_ports(schema)
    inputs = [
        *(feature_port("history", "history.feature", f, ("users", "history")) for f in schema.item),
        *history_ports(schema),
        *(feature_port("user", "user.feature", f, ("users",)) for f in schema.user),
        *(feature_port("candidate", "candidate.feature", f, ("users", "candidates")) for f in schema.item),
        *request,
        *given,
        RECENCY,
    ]
    return Graph("idrec", IdrecGraph(model, schema), tuple(inputs), logit_ports(model))


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
