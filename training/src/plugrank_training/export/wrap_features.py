"""`features.toml`: what a row-wise ONNX model reads, and where its numbers are (docs/serve-your-own-model.md)."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plugrank_training.export.row_wise import NAN, Column, Head
from plugrank_training.models.features import DERIVED, FIRST, MISSING, OTHER, Feature
from plugrank_training.models.row_host import LARGEST_ID
from plugrank_training.models.schema import MAIN_TASK
from plugrank_training.models.transforms import Transform

KINDS = ("item", "user", "request", "candidate")
ROOT = {"name", "time", "timezone", "model", *KINDS}
MODEL = {"inputs", "outputs"}
OUTPUT = {"output", "column", "is"}
FEATURE = {"column", "length", "missing"}
CATEGORY = FEATURE | {"vocab", "values", "derive", "first", "unknown"}


@dataclass(frozen=True)
class Wrapped:
    """What the file says."""

    name: str
    time: str
    timezone: str
    # By kind and name, in the file's order.
    columns: dict[tuple[str, str], Column]
    # Columns of each of the model's inputs; empty where each input takes the feature of its name.
    inputs: dict[str, tuple[Column, ...]]
    heads: dict[str, Head]


def read_features(path: Path) -> Wrapped:
    """Reads the file. Raises `ValueError` for what it cannot mean."""
    with path.open("rb") as file:
        try:
            given = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: {error}") from error
    known(path, "", given, ROOT)
    columns: dict[tuple[str, str], Column] = {}
    for kind in KINDS:
        for name, entry in table(path, kind, given.get(kind, {})).items():
            columns[kind, name] = column(path, kind, name, table(path, f"{kind}.{name}", entry))
    if not any(kind == "item" for kind, _ in columns):
        raise ValueError(f"{path}: has no [item.NAME]; a model ranks by at least one feature of items")
    model = table(path, "model", given.get("model", {}))
    known(path, "model", model, MODEL)
    inputs = {
        name: tuple(named(path, feature, columns) for feature in features)
        for name, features in table(path, "model.inputs", model.get("inputs", {})).items()
    }
    heads = {
        task: head(path, task, table(path, f"model.outputs.{task}", entry))
        for task, entry in table(path, "model.outputs", model.get("outputs", {})).items()
    }
    used = {(one.kind, one.feature.name) for columns_of in inputs.values() for one in columns_of}
    unread = next((where for where in columns if inputs and where not in used), None)
    if unread:
        raise ValueError(f"{path}: [{'.'.join(unread)}] stands in none of [model.inputs]")
    return Wrapped(
        given.get("name", path.parent.name or "model"),
        given.get("time", "ms"),
        given.get("timezone", "UTC"),
        columns,
        inputs,
        heads,
    )


def table(path: Path, place: str, entry: Any) -> Mapping[str, Any]:
    """A table of the file."""
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: [{place}] must be a table")
    return entry


def known(path: Path, place: str, entry: Mapping[str, Any], names: set[str]) -> None:
    """Raises for a key that means nothing."""
    strange = sorted(set(entry) - names)
    if strange:
        where = f"[{place}] " if place else ""
        raise ValueError(f"{path}: {where}has `{strange[0]}`; there are {', '.join(sorted(names))}")


def named(path: Path, feature: str, columns: Mapping[tuple[str, str], Column]) -> Column:
    """A feature by its name, or by its kind and name where two kinds have one of that name."""
    kind, _, rest = feature.partition(".")
    if (kind, rest) in columns:
        return columns[kind, rest]
    found = [column for (_, name), column in columns.items() if name == feature]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{path}: [model.inputs]: `{feature}` is of two kinds; write {found[0].kind}.{feature}")
    names = ", ".join(name for _, name in columns)
    raise ValueError(f"{path}: [model.inputs]: there is no feature `{feature}`; there are {names}")


def head(path: Path, task: str, entry: Mapping[str, Any]) -> Head:
    """Where a task's number is."""
    known(path, f"model.outputs.{task}", entry, OUTPUT)
    what = entry.get("is", "probability")
    if "output" not in entry or what not in ("probability", "logit"):
        raise ValueError(f"{path}: [model.outputs.{task}] needs `output`, and `is` is `probability` or `logit`")
    return Head(entry["output"], int(entry.get("column", 0)), what == "probability")


def column(path: Path, kind: str, name: str, entry: Mapping[str, Any]) -> Column:
    """A feature."""
    length = int(entry.get("length", 1))
    if not {"vocab", "values", "derive"} & set(entry):
        known(path, f"{kind}.{name}", entry, FEATURE)
        missing = entry.get("missing", 0.0)
        nan = missing == "nan" or missing != missing
        feature = Feature.number(name, Transform(), length, NAN if nan else float(missing))
        return Column(kind, dataclasses.replace(feature, column=entry.get("column", name)), nan=nan)
    known(path, f"{kind}.{name}", entry, CATEGORY)
    derive = entry.get("derive", "")
    if derive and (kind != "request" or derive not in DERIVED):
        raise ValueError(f"{path}: [{kind}.{name}]: `derive` is {' or '.join(DERIVED)}, of features of the request")
    if derive:
        values = list(DERIVED[derive])
    elif "values" in entry:
        values = [str(value) for value in entry["values"]]
    else:
        text = (path.parent / entry["vocab"]).read_text(encoding="utf-8")
        values = text.removesuffix("\n").split("\n")
    feature = Feature.of(name, values, length)
    if len(feature.index) != len(values):
        raise ValueError(f"{path}: [{kind}.{name}]: its vocabulary has an empty line, or a value twice")
    where = {"column": "", "derive": derive} if derive else {"column": entry.get("column", name)}
    first = int(entry.get("first", 0 if derive else FIRST))
    ids = (
        int(entry.get("missing", MISSING)),
        int(entry.get("unknown", OTHER)),
        *range(first, first + len(values)),
    )
    if len(values) + FIRST > LARGEST_ID or max(ids) > LARGEST_ID:
        raise ValueError(f"{path}: [{kind}.{name}]: ids above {LARGEST_ID}")
    return Column(kind, dataclasses.replace(feature, **where), ids)


def default_heads(outputs: list[str], heads: Mapping[str, Head]) -> dict[str, Head]:
    """Where nothing is said, the model's only output is the probability of a click. Raises `ValueError`."""
    if heads:
        return dict(heads)
    if len(outputs) != 1:
        raise ValueError(
            f"the model has outputs {', '.join(outputs)}; name the one of each task in [model.outputs.TASK]"
        )
    return {MAIN_TASK: Head(outputs[0])}
