"""Writes a model bundle (docs/bundle-format.md): graphs, vocabularies, tokenizer, manifest, reference rows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from tokenizers import Tokenizer

from plugrank_training.config import Config, ImageConfig
from plugrank_training.encoders.image_encoder import MEAN, STD, ImageEncoder
from plugrank_training.encoders.pretrained_text import PretrainedText
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.torchvision_image import TorchvisionImage
from plugrank_training.export.graphs import Graph, ReadyGraph, idrec_graph, image_graph, text_graph, unified_graphs
from plugrank_training.export.onnx_files import ExportError, OnnxGraph, difference, write_onnx
from plugrank_training.export.reference import (
    CANDIDATES,
    HistoryRows,
    Samples,
    draw_rows,
    graph_inputs,
    image_inputs,
    item_inputs,
    text_inputs,
)
from plugrank_training.models.branch_model import ITEM_VECTOR
from plugrank_training.models.cut_model import CutModel
from plugrank_training.models.features import Feature
from plugrank_training.models.schema import LIST_TASK, Schema

FORMAT = 2
# Largest allowed difference of ONNX Runtime and torch on the reference rows.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class TextPart:
    """The text encoder with what it needs."""

    encoder: TextEncoder | PretrainedText
    tokenizer: Tokenizer
    max_tokens: int
    # A few texts of the catalog, for the reference rows.
    samples: tuple[str, ...]


@dataclass(frozen=True)
class ImagePart:
    """The image encoder with the size it reads."""

    encoder: ImageEncoder | TorchvisionImage
    config: ImageConfig


@dataclass(frozen=True)
class Bundle:
    """Everything a bundle is made of."""

    name: str
    # `ms` or `order`, as in dataset.json.
    time: str
    schema: Schema
    # None where `graphs` are given.
    unified: CutModel | None
    idrec: CutModel | None
    text: TextPart | None
    image: ImagePart | None
    # By graph, then by task.
    calibration: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    # Given, the bundle carries weights and configuration, so that training can go on from it.
    config: Config | None = None
    # The item output that retrieval reads; None where it reads none.
    item_vector: str | None = ITEM_VECTOR
    # Graphs in place of those of `unified`, each after those it reads from.
    graphs: tuple[Graph, ...] = ()


def graphs_of(bundle: Bundle) -> list[Graph]:
    """The bundle's graphs, in the order in which each finds its inputs made by those before it."""
    graphs = []
    if bundle.text:
        graphs.append(text_graph(bundle.text.encoder))
    if bundle.image:
        size = bundle.image.config
        graphs.append(image_graph(bundle.image.encoder, size.width, size.height))
    graphs += bundle.graphs
    if bundle.unified:
        graphs += unified_graphs(bundle.unified, bundle.schema)
    if bundle.idrec:
        graphs.append(idrec_graph(bundle.idrec, bundle.schema))
    return graphs


def run_torch(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the torch module gives for a graph's inputs, those included that its file leaves out, by output name."""
    with torch.no_grad():
        made = graph.module.eval()(*(torch.from_numpy(inputs[port.name]) for port in graph.inputs))
    values = made if isinstance(made, tuple) else (made,)
    return {port.name: value.numpy() for port, value in zip(graph.outputs, values, strict=True)}


class GraphWriter:
    """Writes graphs one after another, checks each against torch and keeps its reference rows."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.folder = folder
        self.random = np.random.default_rng(bundle.seed)
        text = bundle.text
        self.samples = Samples(
            bundle.schema,
            text.samples if text else (),
            text.tokenizer if text else None,
            text.max_tokens if text else 0,
            bundle.seed,
        )
        self.rows = HistoryRows(self.random)
        self.item_inputs = item_inputs(self.samples, self.random)
        self.made: dict[str, np.ndarray] = {}
        for feature in bundle.schema.item:
            self.made[f"feature.{feature.name}"] = self.item_inputs[f"item_{feature.name}"]
        for feature in bundle.schema.user:
            self.made[f"user.feature.{feature.name}"] = draw_rows(feature, len(self.rows.mask), self.random)
        for feature in bundle.schema.request:
            self.made[f"request.feature.{feature.name}"] = draw_rows(feature, len(self.rows.mask), self.random)
        for feature in bundle.schema.candidate:
            drawn = draw_rows(feature, len(self.rows.mask) * CANDIDATES, self.random)
            self.made[f"candidate.given.{feature.name}"] = drawn.reshape(-1, CANDIDATES, *drawn.shape[1:])
        for feature in bundle.schema.history:
            drawn = draw_rows(feature, self.rows.mask.size, self.random).reshape(self.rows.mask.shape)
            self.made[f"history.{feature.name}"] = np.where(self.rows.mask > 0, drawn, drawn.dtype.type(0))
        self.tensors: dict[str, np.ndarray] = {}
        self.largest: dict[str, float] = {}

    def inputs_of(self, graph: Graph) -> dict[str, np.ndarray]:
        """The reference inputs of a graph."""
        match graph.name:
            case "text_encoder":
                return text_inputs(self.samples)
            case "image_encoder":
                return image_inputs(graph, self.random)
            case "item_encoder":
                return self.item_inputs
            case _:
                return graph_inputs(graph, self.made, self.rows)

    def write(self, graph: Graph) -> Graph:
        """Export, compare with torch, remember inputs and outputs; gives the graph with the inputs that it reads."""
        inputs = self.inputs_of(graph)
        if isinstance(graph, ReadyGraph):
            expected = graph.compute(inputs)
            (self.folder / graph.file).write_bytes(graph.proto.SerializeToString(deterministic=True))
        else:
            expected = run_torch(graph, inputs)
            graph = write_onnx(graph, [inputs[port.name] for port in graph.inputs], self.folder)
        loaded = OnnxGraph(self.folder / graph.file)
        check_ports(graph, loaded)
        inputs = {port.name: inputs[port.name] for port in graph.inputs}
        found = loaded.run(inputs)
        self.largest[graph.name] = max(difference(expected[name], found[name]) for name in expected)
        if self.largest[graph.name] > TOLERANCE:
            raise ExportError(
                f"graph `{graph.name}` differs from torch by {self.largest[graph.name]:.2e} (allowed: {TOLERANCE})"
            )
        if graph.name == "item_encoder":
            self.made |= {f"item.{name}": value for name, value in found.items()}
        if graph.name == "user_encoder":
            self.made |= {f"user.state.{name}": value for name, value in found.items()}
        for side, values in (("in", inputs), ("out", found)):
            for name, value in values.items():
                self.tensors[f"{graph.name}/{side}/{name}"] = np.ascontiguousarray(value)
        return graph


def check_ports(graph: Graph, loaded: OnnxGraph) -> None:
    """Names, types and shapes of the file must be those the manifest will state."""
    for kind, stated, found in zip(("input", "output"), (graph.inputs, graph.outputs), loaded.ports(), strict=True):
        if [port.name for port in stated] != [port.name for port in found]:
            raise ExportError(
                f"graph `{graph.name}`: {kind}s {[p.name for p in found]} where {[p.name for p in stated]} were meant"
            )
        for want, have in zip(stated, found, strict=True):
            if want.dtype != have.dtype or want.shape != have.shape:
                raise ExportError(
                    f"graph `{graph.name}`, {kind} `{want.name}`: {have.dtype} {have.shape}, "
                    f"not {want.dtype} {want.shape}"
                )


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def vocab_files(features: Sequence[Feature]) -> list[str]:
    """A file for each feature, of a number the empty string: its name, where that is a plain one no feature before it
    took, else with a number."""
    files: list[str] = []
    for number, feature in enumerate(features):
        if feature.transform is not None:
            files.append("")
            continue
        file = f"vocab/{feature.name}.txt"
        if not re.fullmatch(r"[A-Za-z0-9_-]+", feature.name) or file.lower() in map(str.lower, files):
            file = f"vocab/{re.sub('[^A-Za-z0-9_-]', '_', feature.name)}.{number}.txt"
        files.append(file)
    return files


def feature_entry(feature: Feature, vocab: str) -> dict[str, Any]:
    """A feature as the manifest describes it."""
    where = {"derive": feature.derive} if feature.derive else {"column": feature.column}
    entry: dict[str, Any] = {"name": feature.name, **where}
    if feature.transform is None:
        entry |= {"kind": "category", "length": feature.length, "vocab": vocab}
    else:
        entry |= {"kind": "number", "length": feature.length, "transform": feature.transform.manifest()}
    if feature.is_number:
        entry["missing"] = feature.missing
    if feature.observed is not None:
        entry["observed"] = dataclasses.asdict(feature.observed)
    return entry


def modal_entry(bundle: Bundle) -> dict[str, Any]:
    """The manifest's `modal`."""
    entry: dict[str, Any] = {"dim": bundle.schema.modal_dim}
    if bundle.text:
        entry["text"] = {
            "graph": "text_encoder",
            "dim": bundle.text.encoder.dim,
            "tokenizer": "tokenizer.json",
            "max_tokens": bundle.text.max_tokens,
        }
    if bundle.image:
        size = bundle.image.config
        entry["image"] = {
            "graph": "image_encoder",
            "dim": size.dim,
            "width": size.width,
            "height": size.height,
            "mean": list(MEAN),
            "std": list(STD),
        }
    return entry


def write_vocabularies(schema: Schema, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Write the files of all categories; gives the manifest's `features`."""
    (folder / "vocab").mkdir(parents=True)
    sides = {"item": schema.item, "user": schema.user, "request": schema.request, "candidate": schema.candidate}
    if schema.history:
        sides["history"] = schema.history
    every = [(side, feature) for side, features in sides.items() for feature in features]
    entries: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for (side, feature), file in zip(every, vocab_files([feature for _, feature in every]), strict=True):
        if file:
            lines = "".join(f"{value}\n" for value in feature.values)
            (folder / file).write_text(lines, encoding="utf-8", newline="\n")
        entries[side].append(feature_entry(feature, file))
    return entries


def write_inside(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Write every file into an empty folder; gives the manifest."""
    entries_by_side = write_vocabularies(bundle.schema, folder)
    if bundle.text:
        bundle.text.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    writer = GraphWriter(bundle, folder)
    graphs = [writer.write(graph) for graph in graphs_of(bundle)]
    outputs = [port.name for graph in graphs if graph.name == "item_encoder" for port in graph.outputs]
    if bundle.item_vector is not None and bundle.item_vector not in outputs:
        raise ExportError(f"retrieval reads `{bundle.item_vector}`, but the item encoder gives {', '.join(outputs)}")
    (folder / "reference.safetensors").write_bytes(save(writer.tensors))
    if bundle.config:
        write_state(bundle, bundle.config, folder / "training")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {
        path.relative_to(folder).as_posix(): {"sha256": sha256(path), "bytes": path.stat().st_size} for path in files
    }
    encoders = ("text_encoder.onnx", "tokenizer.json", "image_encoder.onnx")
    modal = modal_entry(bundle)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": bundle.name,
        "version": "",
        "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "encoder_version": digest({"files": [entries[n]["sha256"] for n in encoders if n in entries], "modal": modal}),
        "time": bundle.time,
        "files": entries,
        "modal": modal,
        "timezone": bundle.schema.timezone,
        "features": entries_by_side,
        "history": {"clicks": bundle.schema.clicks, "impressions": bundle.schema.impressions},
        "graphs": {
            graph.name: {
                "file": graph.file,
                "inputs": [port.manifest() for port in graph.inputs],
                "outputs": [port.manifest() for port in graph.outputs],
            }
            for graph in graphs
        },
        "tasks": list(bundle.schema.tasks),
        # Lists are ordered by what a reply's `ctr` is.
        **({"value": {"task": LIST_TASK}} if LIST_TASK in bundle.schema.tasks else {}),
        **({"retrieval": {"item_vector": bundle.item_vector}} if bundle.item_vector else {}),
        "calibration": bundle.calibration,
        "metrics": bundle.metrics | {"onnx_difference": writer.largest},
        "reference": {"file": "reference.safetensors", "tolerance": TOLERANCE},
    }
    what_counts = {key: value for key, value in manifest.items() if key not in ("version", "created_at", "metrics")}
    manifest["version"] = f"{bundle.name}-{digest(what_counts)}"
    return manifest


def write_state(bundle: Bundle, config: Config, folder: Path) -> None:
    """`config.json`, and `state.safetensors` with the weights of every part as `PART/NAME`."""
    parts = {
        "unified": bundle.unified,
        "idrec": bundle.idrec,
        "text": bundle.text.encoder if bundle.text else None,
        "image": bundle.image.encoder if bundle.image else None,
    }
    tensors = {
        f"{name}/{key}": value.cpu().contiguous().numpy()
        for name, part in parts.items()
        if part is not None
        for key, value in part.state_dict().items()
    }
    folder.mkdir()
    (folder / "state.safetensors").write_bytes(save(tensors))
    text = json.dumps(dataclasses.asdict(config), indent=1, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8", newline="\n")


def digest(value: Any) -> str:
    """Twelve hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def export_bundle(bundle: Bundle, out: Path) -> dict[str, Any]:
    """Write the bundle to `out`, replacing an older one only once the new one is whole; gives the manifest.

    Raises `ExportError` where a graph does not compute what torch computes.
    """
    if out.exists() and not (out / "manifest.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists and is no bundle; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    manifest = write_inside(bundle, fresh)
    text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
    (fresh / "manifest.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    if out.exists():
        shutil.rmtree(out)
    fresh.rename(out)
    return manifest
