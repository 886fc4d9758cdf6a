"""Modules to ONNX files, and running them again."""

from __future__ import annotations

import functools
import gc
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

from plugrank_training.export.graphs import Graph, Port

# Old enough for every runtime of the last years, new enough for LayerNormalization.
OPSET = 18
NUMPY_TYPES: dict[str, np.dtype] = {"f32": np.dtype(np.float32), "f16": np.dtype(np.float16), "i64": np.dtype(np.int64)}
ONNX_TYPES = {"tensor(float)": "f32", "tensor(float16)": "f16", "tensor(int64)": "i64"}


class ExportError(ValueError):
    """A graph cannot be exported, or does not compute what the model computes."""


def write_onnx(graph: Graph, example: Sequence[np.ndarray], folder: Path) -> Graph:
    """Write one graph; gives it without the inputs that it does not read, which its file does not have either.

    `example` holds an array for each input, every named dimension at least 2.
    """
    dims: dict[str, Any] = {}
    shapes = []
    for port in graph.inputs:
        named = {place: name for place, name in enumerate(port.shape) if isinstance(name, str)}
        shapes.append({place: dims.setdefault(name, torch.export.Dim(name)) for place, name in named.items()})
    path = folder / graph.file
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    keep_registry()
    with warnings.catch_warnings(), no_garbage_collection():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.module.eval().cpu(),
            tuple(torch.from_numpy(array) for array in example),
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            dynamic_shapes=(tuple(shapes),) if takes_tuple(graph) else tuple(shapes),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ExportError(f"graph `{graph.name}`: the exporter gave nothing")
    model = program.model_proto
    strip(model)
    read = drop_unread(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return replace(graph, inputs=tuple(port for port in graph.inputs if port.name in read))


@functools.cache
def keep_registry() -> None:
    """Have torch make its table of operators once a process: it parses the source of some 500 functions for each graph
    otherwise. Nothing writes into the table where no `custom_translation_table` is given."""
    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))  # type: ignore[method-assign]


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Without Python's search for cycles: an export makes millions of objects that live until its end, and walking them
    again and again takes a fifth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def drop_unread(model: onnx.ModelProto) -> set[str]:
    """Remove the inputs that nothing reads; gives the names of the others."""
    read = {name for node in model.graph.node for name in node.input} | {port.name for port in model.graph.output}
    for port in [port for port in model.graph.input if port.name not in read]:
        model.graph.input.remove(port)
    return {port.name for port in model.graph.input}


def takes_tuple(graph: Graph) -> bool:
    """Whether the module's forward is `forward(*inputs)`."""
    code = graph.module.forward.__code__
    return bool(code.co_flags & 0x04)


def strip(model: onnx.ModelProto) -> None:
    """Remove what tells of the machine that exported the model (source lines, paths)."""
    model.doc_string = ""
    del model.metadata_props[:]
    model.graph.doc_string = ""
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.value_info[:]


class OnnxGraph:
    """An exported graph, run by ONNX Runtime on the CPU."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def ports(self) -> tuple[list[Port], list[Port]]:
        """Inputs and outputs as the file has them."""

        def port(value: Any) -> Port:
            return Port(value.name, ONNX_TYPES.get(value.type, value.type), tuple(value.shape))

        return [port(v) for v in self.session.get_inputs()], [port(v) for v in self.session.get_outputs()]

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        names = [value.name for value in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, inputs), strict=True))


def difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference of two arrays; of f16 arrays, less the half step that rounding alone may cost each."""
    if expected.shape != found.shape:
        raise ExportError(f"shape {found.shape} where {expected.shape} was expected")
    wide, other = expected.astype(np.float64), found.astype(np.float64)
    if not (np.isfinite(wide).all() and np.isfinite(other).all()):
        return float("inf")
    gap = np.abs(wide - other)
    if expected.dtype == np.float16:
        gap = np.maximum(gap - np.abs(np.spacing(expected)).astype(np.float64), 0.0)
    return float(gap.max(initial=0.0))
