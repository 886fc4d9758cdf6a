"""Reference rows: inputs of every graph with the outputs a right implementation gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.export.graphs import Graph, Port
from plugrank_training.models.features import Feature
from plugrank_training.models.schema import Schema

ITEMS, USERS, HISTORY, CANDIDATES = 24, 4, 9, 5


@dataclass(frozen=True)
class Samples:
    """What reference rows are drawn from."""

    schema: Schema
    texts: tuple[str, ...]
    tokenizer: Tokenizer | None
    max_tokens: int
    seed: int


def draw_rows(feature: Feature, rows: int, random: np.random.Generator) -> np.ndarray:
    """Ids of a feature, known, unknown and missing ones; or numbers, some of them missing."""
    shape = (rows,) if feature.length == 1 else (rows, feature.length)
    if feature.is_number:
        low, high = (feature.corners[0], feature.corners[-1]) if feature.corners else (-2.0, 2.0)
        numbers = random.uniform(low, high, size=shape).astype(np.float32)
        return np.where(random.random(shape) < 0.2, np.float32(feature.missing), numbers)
    ids = random.integers(0, feature.size, size=shape, dtype=np.int64)
    if feature.length > 1:
        lengths = random.integers(0, feature.length + 1, size=(rows, 1))
        ids = np.where(np.arange(feature.length) < lengths, np.maximum(ids, 1), 0)
    return ids


def item_inputs(samples: Samples, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Items with all parts, with one part missing, and (the last) a missing item."""
    schema = samples.schema
    given = modal_inputs(schema, random) if schema.parts else {}
    for feature in schema.item:
        ids = draw_rows(feature, ITEMS, random)
        if feature.column != "item_id":
            ids[-1] = feature.absent
        given[f"item_{feature.name}"] = ids
    return given


def modal_inputs(schema: Schema, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Modal vectors of items with all parts, with one part missing, and (the last) of a missing item."""
    modal = random.standard_normal((ITEMS, schema.modal_dim)).astype(np.float16).astype(np.float32)
    present = np.ones((ITEMS, len(schema.parts)), dtype=np.float32)
    for row in range(0, ITEMS, 3):
        present[row, (row // 3) % len(schema.parts)] = 0.0
    present[-1] = 0.0
    start = 0
    for number, (_, width) in enumerate(schema.parts):
        modal[:, start : start + width] *= present[:, number : number + 1]
        start += width
    return {"modal": modal, "modal_present": present}


class HistoryRows:
    """Histories of several users over the drawn items: a full one, two padded ones, an empty one."""

    def __init__(self, random: np.random.Generator) -> None:
        self.entries = random.integers(0, ITEMS, size=(USERS, HISTORY))
        self.candidates = random.integers(0, ITEMS, size=(USERS, CANDIDATES))
        lengths = np.array([HISTORY, HISTORY - 2, 2, 0]).reshape(USERS, 1)
        there = np.arange(HISTORY) < lengths
        self.mask = there.astype(np.float32)
        self.label = np.where(there, random.integers(0, 2, size=(USERS, HISTORY)), 0).astype(np.int64)
        ages = np.sort(random.integers(1, 32, size=(USERS, HISTORY)), axis=1)
        self.age_bucket = np.where(there, ages, 0).astype(np.int64)
        self.recency = np.where(lengths[:, 0] > 0, random.integers(1, 32, size=USERS), 0).astype(np.int64)

    def of_history(self, rows: np.ndarray) -> np.ndarray:
        """Rows of items at the history's places; padding is zeros."""
        taken = rows[self.entries]
        mask = self.mask.reshape(USERS, HISTORY, *([1] * (taken.ndim - 2)))
        masked: np.ndarray = np.multiply(taken, mask).astype(rows.dtype)
        return masked


def value_for(port: Port, made: dict[str, np.ndarray], rows: HistoryRows) -> np.ndarray:
    """The value of one input of a graph that reads users or candidates.

    `made` holds item inputs and item outputs by their source without the first word, and what is of users, requests
    and candidates by its source.
    """
    fixed = {
        "history.label": rows.label,
        "history.age_bucket": rows.age_bucket,
        "history.mask": rows.mask,
        "history.length": rows.mask.sum(1).astype(np.int64),
        "request.recency_bucket": rows.recency,
    }
    if port.source in fixed:
        return np.asarray(fixed[port.source])
    if port.source in made:
        return made[port.source]
    kind, rest = port.source.split(".", 1)
    if kind == "history":
        return rows.of_history(made[rest])
    if kind == "candidate":
        return made[rest][rows.candidates]
    raise ValueError(f"input `{port.name}` has the source `{port.source}`, which nothing gives")


def graph_inputs(graph: Graph, made: dict[str, np.ndarray], rows: HistoryRows) -> dict[str, np.ndarray]:
    """Inputs of `user_encoder`, `unified` or `idrec`."""
    return {port.name: value_for(port, made, rows) for port in graph.inputs}


def text_inputs(samples: Samples) -> dict[str, np.ndarray]:
    """Tokens of a few texts of different lengths, padded."""
    if samples.tokenizer is None:
        raise ValueError("a text encoder needs its tokenizer")
    chosen = [*samples.texts[:5], "x"]
    ids, mask = tokenize(samples.tokenizer, chosen, samples.max_tokens)
    return {"token_ids": ids, "mask": mask}


def image_inputs(graph: Graph, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Random pixels, normalised."""
    tail = [int(size) for size in graph.inputs[0].shape[1:]]
    return {"pixels": random.uniform(-2.0, 2.0, size=(3, *tail)).astype(np.float32)}
