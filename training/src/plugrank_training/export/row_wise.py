"""A row-wise ONNX model inside a bundle's `unified` graph: what is of users repeated for each candidate, features side
by side as the model reads them, and its numbers as logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from plugrank_training.export.graphs import Port
from plugrank_training.export.onnx_files import ExportError
from plugrank_training.models.features import Feature

# What stands for a missing number until the graph makes NaN of it: a manifest cannot hold NaN.
NAN = float(np.finfo(np.float32).min)
# The oldest operators that the graph around the model needs.
OLDEST_OPSET = 11
# A probability is kept this far from 0 and 1, so that it has a logit.
EDGE = 1e-7
PREFIX = "model/"
ARRAYS: dict[int, type[np.generic]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
}


@dataclass(frozen=True)
class Column:
    """A feature as the model reads it."""

    # `item`, `user`, `request` or `candidate`.
    kind: str
    feature: Feature
    # Of a category: the model's own id of each of the bundle's.
    ids: tuple[int, ...] = ()
    # Whether a missing number is NaN to the model.
    nan: bool = False

    @property
    def by_candidate(self) -> bool:
        """Whether it has a row for each candidate, rather than for each user."""
        return self.kind in ("item", "candidate")

    def own(self, values: np.ndarray) -> np.ndarray:
        """Values as the bundle has them, `[n]` or `[n, length]`, as the model reads them: `[n, length]`."""
        wide = values.reshape(len(values), self.feature.length)
        if self.ids:
            return np.array(self.ids)[wide.astype(np.int64)]
        return np.where(wide == np.float32(NAN), np.nan, wide) if self.nan else wide


@dataclass(frozen=True)
class Head:
    """Where a task's number is among the model's outputs."""

    output: str
    column: int = 0
    # Else it is a logit.
    probability: bool = True

    def logits(self, made: np.ndarray) -> np.ndarray:
        """f32 `[n]` of what the model gives."""
        picked = made.reshape(len(made), -1)[:, self.column].astype(np.float32)
        if not self.probability:
            return picked
        kept = np.clip(picked, np.float32(EDGE), np.float32(1 - EDGE))
        return np.log(kept / (1 - kept))


class RowWise:
    """A model whose inputs and outputs have a row for each impression."""

    def __init__(self, path: Path, inputs: Mapping[str, Sequence[Column]], heads: Mapping[str, Head]) -> None:
        self.path, self.inputs, self.heads = path, dict(inputs), dict(heads)
        self.proto = recent(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            self.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.types = {port.name: port.type.tensor_type.elem_type for port in self.wanted()}
        self.check()

    def wanted(self) -> list[onnx.ValueInfoProto]:
        """Inputs that are not constants."""
        constants = {tensor.name for tensor in self.proto.graph.initializer}
        return [port for port in self.proto.graph.input if port.name not in constants]

    def check(self) -> None:
        """Raises `ExportError` where the model and what is said of it do not fit."""
        names = list(self.types)
        strange = sorted(set(self.inputs) - set(names))
        if strange:
            raise ExportError(f"{self.path}: has no input `{strange[0]}`; its inputs are {', '.join(names)}")
        for port in self.wanted():
            columns = self.inputs.get(port.name)
            if not columns:
                raise ExportError(f"{self.path}: input `{port.name}` is given no feature; name them in [model.inputs]")
            if self.types[port.name] not in ARRAYS:
                found = TensorProto.DataType.Name(self.types[port.name]).lower()
                raise ExportError(
                    f"{self.path}: input `{port.name}` is {found}; numbers and ids are given, so leave looking up "
                    "texts to the bundle's vocabularies"
                )
            dims = port.type.tensor_type.shape.dim
            if not dims or dims[0].HasField("dim_value"):
                raise ExportError(
                    f"{self.path}: input `{port.name}` must have any number of rows; its first dimension is fixed"
                )
            width = sum(column.feature.length for column in columns)
            if len(dims) > 1 and dims[1].HasField("dim_value") and dims[1].dim_value != width:
                raise ExportError(
                    f"{self.path}: input `{port.name}` has {dims[1].dim_value} columns, and {width} are given: "
                    + ", ".join(f"{column.feature.name} ({column.feature.length})" for column in columns)
                )
        outputs = {value.name: value.type for value in self.session.get_outputs()}
        for task, head in self.heads.items():
            if head.output not in outputs:
                raise ExportError(
                    f"{self.path}: task `{task}`: has no output `{head.output}`; its outputs are {', '.join(outputs)}"
                )
            if not outputs[head.output].startswith("tensor("):
                raise ExportError(
                    f"{self.path}: output `{head.output}` is {outputs[head.output]}; convert the model with "
                    "zipmap=False, so that it is a table of numbers"
                )

    def columns(self) -> list[Column]:
        """Every feature once, in the order of the inputs."""
        found: dict[tuple[str, str], Column] = {}
        for columns in self.inputs.values():
            for column in columns:
                found.setdefault((column.kind, column.feature.name), column)
        return list(found.values())

    def flat(self, port: str) -> bool:
        """Whether an input has one dimension alone."""
        dims = next(one for one in self.wanted() if one.name == port).type.tensor_type.shape.dim
        return len(dims) == 1

    def logits(self, rows: Mapping[tuple[str, str], np.ndarray]) -> dict[str, np.ndarray]:
        """The model itself, as it is: rows of the bundle's values by kind and feature -> logits f32 `[n]` by task."""
        given = {}
        for name, columns in self.inputs.items():
            table = np.concatenate([one.own(rows[one.kind, one.feature.name]) for one in columns], axis=1)
            table = table.astype(ARRAYS[self.types[name]])
            given[name] = table[:, 0] if self.flat(name) else table
        names = [head.output for head in self.heads.values()]
        made = self.session.run(names, given)
        return {task: head.logits(out) for (task, head), out in zip(self.heads.items(), made, strict=True)}

    def spliced(self, ports: Mapping[tuple[str, str], Port], outputs: Mapping[str, Port]) -> onnx.ModelProto:
        """The `unified` graph: inputs by kind and feature, outputs by task."""
        return Splice(self, ports, outputs).model()


class Splice:
    """Builds the graph around the model."""

    def __init__(self, rows: RowWise, ports: Mapping[tuple[str, str], Port], outputs: Mapping[str, Port]) -> None:
        self.rows, self.ports, self.outputs = rows, ports, outputs
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Adds a node; gives the name of what it makes."""
        made = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], name=made, **attributes))
        return made

    def constant(self, array: np.ndarray) -> str:
        """Adds a constant; gives its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def numbers(self, *values: int) -> str:
        """A shape, or places."""
        return self.constant(np.array(values, dtype=np.int64))

    def model(self) -> onnx.ModelProto:
        """The graph, with the model's own nodes inside."""
        inner = compose.add_prefix(self.rows.proto, PREFIX)
        leader = next(port.name for (kind, _), port in self.ports.items() if kind in ("item", "candidate"))
        shape = self.node("Shape", [leader])
        users = self.node("Gather", [shape, self.numbers(0)])
        candidates = self.node("Gather", [shape, self.numbers(1)])
        self.repeated = self.node("Concat", [self.numbers(1), candidates, self.numbers(1)], axis=0)
        grid = self.node("Concat", [users, candidates], axis=0)
        for name, columns in self.rows.inputs.items():
            self.give(name, columns)
        body = [*self.nodes, *inner.graph.node]
        self.nodes = []
        for task, head in self.rows.heads.items():
            self.take(head, grid, self.outputs[task].name)
        graph = helper.make_graph(
            [*body, *(self.renamed(node) for node in self.nodes)],
            "unified",
            [value_info(port) for port in self.ports.values()],
            [value_info(port) for port in self.outputs.values()],
            [*self.constants, *inner.graph.initializer],
        )
        graph.sparse_initializer.extend(inner.graph.sparse_initializer)
        model = helper.make_model(
            graph, opset_imports=inner.opset_import, ir_version=inner.ir_version, functions=inner.functions
        )
        onnx.checker.check_model(model)
        return model

    def renamed(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """A node after the model: its names must differ from those before."""
        ours = {one.output[0] for one in self.nodes} - {port.name for port in self.outputs.values()}
        made = onnx.NodeProto()
        made.CopyFrom(node)
        del made.input[:], made.output[:]
        made.input.extend(f"after_{name}" if name in ours else name for name in node.input)
        made.output.extend(f"after_{name}" if name in ours else name for name in node.output)
        made.name = f"after_{node.name}"
        return made

    def give(self, name: str, columns: Sequence[Column]) -> None:
        """Makes one input of the model."""
        wanted = self.rows.types[name]
        parts = [self.node("Cast", [self.own(column)], to=wanted) for column in columns]
        whole = self.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]
        shape = self.numbers(-1) if self.rows.flat(name) else self.numbers(0, -1)
        self.nodes.append(helper.make_node("Reshape", [whole, shape], [PREFIX + name], name=f"give_{name}"))

    def own(self, column: Column) -> str:
        """A feature as the model reads it, `[rows, length]`."""
        length = column.feature.length
        port = self.ports[column.kind, column.feature.name]
        value = port.name
        if not column.by_candidate:
            value = self.node("Reshape", [value, self.numbers(0, 1, length)])
            value = self.node("Expand", [value, self.repeated])
        value = self.node("Reshape", [value, self.numbers(-1, length)])
        if column.ids:
            places = value if port.dtype == "i64" else self.node("Cast", [value], to=TensorProto.INT64)
            return self.node("Gather", [self.constant(np.array(column.ids, dtype=np.int64)), places])
        if column.nan:
            missing = self.node("Equal", [value, self.constant(np.array(NAN, dtype=np.float32))])
            value = self.node("Where", [missing, self.constant(np.array(np.nan, dtype=np.float32)), value])
        return value

    def take(self, head: Head, grid: str, output: str) -> None:
        """Makes a task's logits of what the model gives."""
        value = self.node("Cast", [PREFIX + head.output], to=TensorProto.FLOAT)
        # [n] and [n, 1] are [n, 1], whatever the model says of its outputs.
        rows = self.node("Shape", [PREFIX + head.output])
        rows = self.node("Gather", [rows, self.numbers(0)])
        value = self.node("Reshape", [value, self.node("Concat", [rows, self.numbers(-1)], axis=0)])
        value = self.node("Gather", [value, self.constant(np.array(head.column, dtype=np.int64))], axis=1)
        if head.probability:
            low, high = (self.constant(np.array(edge, dtype=np.float32)) for edge in (EDGE, 1 - EDGE))
            value = self.node("Clip", [value, low, high])
            rest = self.node("Sub", [self.constant(np.array(1, dtype=np.float32)), value])
            value = self.node("Log", [self.node("Div", [value, rest])])
        self.nodes.append(helper.make_node("Reshape", [value, grid], [output], name=f"logit_{output}"))


def recent(path: Path) -> onnx.ModelProto:
    """A model whose operators are recent enough. Raises `ExportError` where they cannot be brought up to date."""
    model = onnx.load(path)
    # Models that were merged name their operators' versions twice.
    named = {one.domain: one.version for one in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in named.items())
    version = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), OLDEST_OPSET)
    if version >= OLDEST_OPSET:
        return model
    # Converters of trees write old models: a handful of operators around the trees' own.
    try:
        return version_converter.convert_version(model, OLDEST_OPSET)
    except (RuntimeError, ValueError) as error:
        raise ExportError(
            f"{path}: opset {version}; export the model with opset {OLDEST_OPSET} or later ({error})"
        ) from error


def value_info(port: Port) -> onnx.ValueInfoProto:
    """A port as ONNX has it."""
    types = {"f32": TensorProto.FLOAT, "i64": TensorProto.INT64}
    return helper.make_tensor_value_info(port.name, types[port.dtype], list(port.shape))
