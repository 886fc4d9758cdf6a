"""`wrap`: a bundle of any row-wise ONNX model (docs/serve-your-own-model.md)."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from plugrank_training.export.bundle import Bundle, export_bundle
from plugrank_training.export.graphs import Arrays, Graph, Port, ReadyGraph, feature_port
from plugrank_training.export.onnx_files import OPSET
from plugrank_training.export.row_wise import Column, RowWise, value_info
from plugrank_training.export.wrap_features import Wrapped, default_heads, read_features
from plugrank_training.models.schema import Schema

NOTHING = nn.Identity()


def wrap(model: Path, features: Path, out: Path) -> dict[str, Any]:
    """Write a bundle of an ONNX model whose inputs have a row for each impression; gives the manifest.

    What is of users and requests is repeated for each candidate inside the graph. The graph is compared with the model
    as it is. Raises `ValueError` where the model and what `features` says of it do not fit.
    """
    told = read_features(features)
    loaded = onnx.load(model, load_external_data=False)
    heads = default_heads([value.name for value in loaded.graph.output], told.heads)
    inputs = told.inputs or by_name(loaded, told)
    rows = RowWise(model, inputs, heads)
    schema = schema_of(told, tuple(heads))
    return export_bundle(
        Bundle(
            name=told.name,
            time=told.time,
            schema=schema,
            unified=None,
            idrec=None,
            text=None,
            image=None,
            graphs=(item_graph(told), user_graph(told), unified_graph(rows, tuple(heads))),
            item_vector=None,
        ),
        out,
    )


def by_name(model: onnx.ModelProto, told: Wrapped) -> dict[str, tuple[Column, ...]]:
    """Each input takes the feature of its name."""
    by = {name: column for (_, name), column in told.columns.items()}
    constants = {tensor.name for tensor in model.graph.initializer}
    names = [port.name for port in model.graph.input if port.name not in constants]
    if len(by) != len(told.columns) or set(names) != set(by):
        raise ValueError(
            f"the model's inputs are {', '.join(names)}, the features {', '.join(by)}; say in [model.inputs] which "
            'features each input has side by side: input = ["price", "age"]'
        )
    return {name: (by[name],) for name in names}


def schema_of(told: Wrapped, tasks: tuple[str, ...]) -> Schema:
    """As a bundle has them."""
    of = {
        kind: tuple(column.feature for (its, _), column in told.columns.items() if its == kind)
        for kind in ("item", "user", "request", "candidate")
    }
    schema = Schema(of["item"], of["user"], (), 1, 0, of["request"], of["candidate"], tasks)
    return replace(schema, timezone=told.timezone)


def own_graph(
    name: str, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], inputs: list[Port], outputs: list[Port]
) -> onnx.ModelProto:
    """A small graph of ours."""
    graph = helper.make_graph(
        nodes, name, [value_info(port) for port in inputs], [value_info(port) for port in outputs], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def item_graph(told: Wrapped) -> Graph:
    """Records of items, which nothing reads: the model takes its features from the item table."""
    feature = next(column.feature for (kind, _), column in told.columns.items() if kind == "item")
    given = feature_port("item", "item.feature", feature, ("items",))
    made = Port("item", "f32", ("items", 1))
    shape = numpy_helper.from_array(np.array([0, feature.length], dtype=np.int64), "shape")
    first = numpy_helper.from_array(np.array([0], dtype=np.int64), "first")
    nodes = [
        helper.make_node("Reshape", [given.name, "shape"], ["wide"]),
        helper.make_node("Gather", ["wide", "first"], ["one"], axis=1),
        helper.make_node("Cast", ["one"], [made.name], to=TensorProto.FLOAT),
    ]

    def compute(inputs: Arrays) -> Arrays:
        return {made.name: inputs[given.name].reshape(-1, feature.length)[:, :1].astype(np.float32)}

    proto = own_graph("item_encoder", nodes, [shape, first], [given], [made])
    return ReadyGraph("item_encoder", NOTHING, (given,), (made,), proto, compute)


def user_graph(told: Wrapped) -> Graph:
    """The user's features, which the state carries; of a model that reads none, whether there is a history."""
    columns = [column.feature for (kind, _), column in told.columns.items() if kind == "user"]
    if not columns:
        mask, made = (
            Port("history_mask", "f32", ("users", "history"), "history.mask"),
            Port("user", "f32", ("users", 1)),
        )
        axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
        nodes = [helper.make_node("ReduceMax", [mask.name, "axes"], [made.name], keepdims=1)]
        proto = own_graph("user_encoder", nodes, [axes], [mask], [made])
        return ReadyGraph(
            "user_encoder",
            NOTHING,
            (mask,),
            (made,),
            proto,
            lambda given: {made.name: given[mask.name].max(1, keepdims=True)},
        )
    given = [feature_port("user", "user.feature", feature, ("users",)) for feature in columns]
    outputs = [Port(feature.name, "f32", ("users", feature.length)) for feature in columns]
    nodes, constants = [], []
    for number, (feature, port) in enumerate(zip(columns, given, strict=True)):
        shape = np.array([0, feature.length], dtype=np.int64)
        constants.append(numpy_helper.from_array(shape, f"shape_{number}"))
        nodes += [
            helper.make_node("Reshape", [port.name, f"shape_{number}"], [f"wide_{number}"]),
            helper.make_node("Cast", [f"wide_{number}"], [feature.name], to=TensorProto.FLOAT),
        ]

    def compute(inputs: Arrays) -> Arrays:
        return {
            feature.name: inputs[port.name].reshape(-1, feature.length).astype(np.float32)
            for feature, port in zip(columns, given, strict=True)
        }

    proto = own_graph("user_encoder", nodes, constants, given, outputs)
    return ReadyGraph("user_encoder", NOTHING, tuple(given), tuple(outputs), proto, compute)


def unified_graph(rows: RowWise, tasks: tuple[str, ...]) -> Graph:
    """The model, every user's rows repeated for their candidates."""
    ports: dict[tuple[str, str], Port] = {}
    for column in rows.columns():
        feature, key = column.feature, (column.kind, column.feature.name)
        match column.kind:
            case "item":
                ports[key] = feature_port("candidate", "candidate.feature", feature, ("users", "candidates"))
            case "candidate":
                ports[key] = feature_port("given", "candidate.given", feature, ("users", "candidates"))
            case "request":
                ports[key] = feature_port("request", "request.feature", feature, ("users",))
            case _:
                shape = ("users", feature.length)
                ports[key] = Port(f"user_{feature.name}", "f32", shape, f"user.state.{feature.name}")
    names = tasks if len(tasks) > 1 else ("logit",)
    outputs = {task: Port(name, "f32", ("users", "candidates")) for task, name in zip(tasks, names, strict=True)}

    def compute(inputs: Arrays) -> Arrays:
        leader = next(inputs[port.name] for (kind, _), port in ports.items() if kind in ("item", "candidate"))
        users, candidates = leader.shape[:2]
        flat = {}
        for column in rows.columns():
            key = (column.kind, column.feature.name)
            value = inputs[ports[key].name]
            if not column.by_candidate:
                value = np.repeat(value, candidates, axis=0)
            flat[key] = value.reshape(users * candidates, column.feature.length)
        made = rows.logits(flat)
        return {outputs[task].name: made[task].reshape(users, candidates) for task in tasks}

    proto = rows.spliced(ports, outputs)
    return ReadyGraph("unified", NOTHING, tuple(ports.values()), tuple(outputs.values()), proto, compute)


DESCRIPTION = """\
Writes a bundle of any ONNX model whose inputs have a row for each impression: gradient-boosted trees through
onnxmltools, a Keras model through tf2onnx, a network exported by its own framework. What is of users and requests is
repeated for each candidate inside the graph. The bundle's graph is compared with the model as it is.
"""

END = """\
features.toml says what the model reads:
  name = "trees"
  [model.inputs]                      # its inputs, and the features side by side in each
  input = ["price", "brand", "age", "hour", "bid"]
  [model.outputs.click]               # a table for each task
  output = "probabilities"
  column = 1                          # `is = "logit"` where it is one
  [item.price]                        # a number; `missing` is what the model reads where there is none
  missing = nan
  [item.brand]                        # a category: the first value has the model's id `first`
  vocab = "brand.txt"                 # or values = ["acme", "zen"]
  first = 0
  missing = -1
  unknown = -1
  [user.age]
  [request.hour]
  derive = "hour"                     # or a column of `context.features`
  [candidate.bid]                     # given by callers, by candidate

example:
  python -m plugrank_training wrap model.onnx --features features.toml --out my-bundle
"""


def add_wrap(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`wrap`."""
    parser = commands.add_parser(
        "wrap",
        help="write a bundle of any row-wise ONNX model",
        description=DESCRIPTION,
        epilog=END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="ONNX file")
    parser.add_argument("--features", type=Path, required=True, metavar="FILE", help="TOML file, see below")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the bundle's folder")
    parser.set_defaults(run=run_wrap)


def run_wrap(arguments: argparse.Namespace) -> None:
    """Write the bundle and say what it has."""
    manifest = wrap(arguments.model, arguments.features, arguments.out)
    difference = max(manifest["metrics"]["onnx_difference"].values())
    print(f"{arguments.out}: {manifest['version']}, largest difference from the model {difference:.1e}")
