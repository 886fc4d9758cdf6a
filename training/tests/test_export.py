"""Exported bundles: the manifest describes the graphs, and their outputs equal torch's."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from bundles import unified_alone
from plugrank_training.config import Config
from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.export.bundle import ExportError, export_bundle
from plugrank_training.export.onnx_files import OnnxGraph, difference
from plugrank_training.export.tiny import export_tiny, tiny_bundle
from plugrank_training.models.build import make_idrec, make_unified
from plugrank_training.models.item_popularity import ItemPopularity

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def bundle(tiny_folder: Path) -> Path:
    return tiny_folder


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return found


def reference(bundle: Path, graph: str, side: str) -> Arrays:
    tensors = load_file(bundle / "reference.safetensors")
    start = f"{graph}/{side}/"
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def test_the_manifest_lists_every_file(bundle: Path, manifest: dict[str, Any]) -> None:
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert there == set(manifest["files"]) | {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"]


def test_manifest_matches_the_graphs(bundle: Path, manifest: dict[str, Any]) -> None:
    assert list(manifest["graphs"]) == [
        "text_encoder",
        "image_encoder",
        "item_encoder",
        "user_encoder",
        "unified",
        "idrec",
    ]
    for name, graph in manifest["graphs"].items():
        inputs, outputs = OnnxGraph(bundle / graph["file"]).ports()
        assert [[p.name, p.dtype, list(p.shape)] for p in inputs] == [
            [p["name"], p["dtype"], p["shape"]] for p in graph["inputs"]
        ]
        assert [[p.name, p.dtype, list(p.shape)] for p in outputs] == [
            [p["name"], p["dtype"], p["shape"]] for p in graph["outputs"]
        ]
        assert set(reference(bundle, name, "in")) == {p["name"] for p in graph["inputs"]}
        assert set(reference(bundle, name, "out")) == {p["name"] for p in graph["outputs"]}


def test_every_cached_output_is_read_and_every_input_is_cached(manifest: dict[str, Any]) -> None:
    """Every cached output is read by somebody, and nothing is read that is not cached."""
    graphs = manifest["graphs"]
    sources = [port["source"] for graph in graphs.values() for port in graph["inputs"]]
    items = {port["name"] for port in graphs["item_encoder"]["outputs"]}
    states = {port["name"] for port in graphs["user_encoder"]["outputs"]}
    read = {s.split(".")[2] for s in sources if s.startswith(("history.item.", "candidate.item."))}
    assert read == items
    assert {s.removeprefix("user.state.") for s in sources if s.startswith("user.state.")} == states
    assert manifest["retrieval"]["item_vector"] in items
    assert not any(".feature." in p["source"] for p in graphs["unified"]["inputs"])


def test_reference_rows_are_reproduced(bundle: Path, manifest: dict[str, Any]) -> None:
    for name, graph in manifest["graphs"].items():
        found = OnnxGraph(bundle / graph["file"]).run(reference(bundle, name, "in"))
        rows = reference(bundle, name, "out")
        assert rows, name
        for output, expected in rows.items():
            assert difference(expected, found[output]) <= manifest["reference"]["tolerance"]


def test_graphs_equal_torch(manifest: dict[str, Any]) -> None:
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-5


def rows(values: Arrays, user: int, history: int | None) -> Arrays:
    """One user of a graph's inputs; names that hold a history are cut to its length."""
    cut = {}
    for name, value in values.items():
        cut[name] = value[user : user + 1]
        if history is not None and value.ndim > 1 and ("history" in name or name.endswith(("_keys", "_values"))):
            cut[name] = cut[name][:, :history]
    return cut


@pytest.mark.parametrize("graph", ["unified", "idrec"])
def test_scores_do_not_depend_on_batch_and_padding(bundle: Path, graph: str) -> None:
    loaded = OnnxGraph(bundle / f"{graph}.onnx")
    inputs, expected = reference(bundle, graph, "in"), reference(bundle, graph, "out")["logit"]
    lengths = reference(bundle, "user_encoder", "in")["history_mask"].sum(1).astype(int)
    assert lengths.min() == 0
    assert lengths.max() > lengths.min()
    for user, length in enumerate(lengths):
        found = loaded.run(rows(inputs, user, max(int(length), 1)))["logit"]
        assert np.abs(found - expected[user : user + 1]).max() < 1e-5
    one = {name: value[:, :1] if name.startswith("candidate") else value for name, value in inputs.items()}
    assert np.abs(loaded.run(one)["logit"] - expected[:, :1]).max() < 1e-5


def test_user_encoder_ignores_padding(bundle: Path) -> None:
    loaded = OnnxGraph(bundle / "user_encoder.onnx")
    inputs, expected = reference(bundle, "user_encoder", "in"), reference(bundle, "user_encoder", "out")
    found = loaded.run(rows(inputs, 2, 2))
    for name, value in found.items():
        whole = expected[name][2:3, :2] if value.ndim == 3 else expected[name][2:3]
        assert difference(whole, value) < 1e-5


def longer(values: Arrays, width: int) -> Arrays:
    """A graph's inputs with every history padded to `width`."""
    grown = {}
    for name, value in values.items():
        is_history = "history" in name or name.endswith(("_keys", "_values"))
        pad = (
            [(0, 0), (0, width - value.shape[1])] + [(0, 0)] * (value.ndim - 2) if is_history else [(0, 0)] * value.ndim
        )
        grown[name] = np.pad(value, pad)
    return grown


@pytest.mark.parametrize("graph", ["user_encoder", "unified", "idrec"])
def test_history_may_be_padded_beyond_its_limit(bundle: Path, manifest: dict[str, Any], graph: str) -> None:
    width = manifest["history"]["clicks"] + manifest["history"]["impressions"] + 28
    found = OnnxGraph(bundle / f"{graph}.onnx").run(longer(reference(bundle, graph, "in"), width))
    for name, expected in reference(bundle, graph, "out").items():
        cut = found[name][:, : expected.shape[1]] if expected.ndim == 3 else found[name]
        assert difference(expected, cut) < 1e-5


def test_text_encoder_ignores_padding(bundle: Path, manifest: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    limit = manifest["modal"]["text"]["max_tokens"]
    ids, mask = tokenize(tokenizer, ["red lamp", "a red lamp for every day, number one " * 8], limit)
    assert ids.shape == (2, limit)
    assert mask[0].sum() < limit
    loaded = OnnxGraph(bundle / "text_encoder.onnx")
    both = loaded.run({"token_ids": ids, "mask": mask})["text_vector"]
    short = int(mask[0].sum())
    alone = loaded.run({"token_ids": ids[:1, :short], "mask": mask[:1, :short]})["text_vector"]
    assert np.abs(both[:1] - alone).max() < 1e-5
    wide = loaded.run({"token_ids": np.pad(ids, [(0, 0), (0, 9)]), "mask": np.pad(mask, [(0, 0), (0, 9)])})
    assert np.abs(wide["text_vector"] - both).max() < 1e-5


def test_graphs_contain_no_build_metadata(bundle: Path) -> None:
    graphs = list(bundle.glob("*.onnx"))
    assert len(graphs) == 6
    for path in graphs:
        model = onnx.load(path)
        assert not model.doc_string
        assert not model.metadata_props
        assert b".py" not in path.read_bytes()


def test_equal_bundles_have_equal_versions(manifest: dict[str, Any], tmp_path: Path) -> None:
    again = export_tiny(tmp_path / "again")
    assert (again["version"], again["encoder_version"]) == (manifest["version"], manifest["encoder_version"])


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "notes.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(ExportError, match="is no bundle"):
        export_bundle(tiny_bundle(), precious)
    assert (precious / "notes.txt").read_text(encoding="utf-8") == "keep"


def test_popularity_is_part_of_the_graphs(tmp_path: Path) -> None:
    config = replace(Config(), host=replace(Config().host, popularity=True))
    bundle = tiny_bundle()
    models = [make(bundle.schema, config, 0).eval() for make in (make_unified, make_idrec)]
    for model in models:
        part = next(part for part in model.parts() if isinstance(part, ItemPopularity))
        part.fill(torch.arange(2, 62), np.arange(60) ** 2)
        torch.nn.init.ones_(part.weight)
    bundle = replace(unified_alone(bundle, models[0]), idrec=models[1])
    manifest = export_bundle(bundle, tmp_path / "bundle")
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-4
    graph = OnnxGraph(tmp_path / "bundle" / "item_encoder.onnx")
    inputs = reference(tmp_path / "bundle", "item_encoder", "in")
    rows = len(inputs["item_item_id"])
    prior = [graph.run(inputs | {"item_item_id": np.full(rows, item)})["prior"] for item in (2, 61)]
    # Of two items with the same content the one that was clicked more has the higher log-odds, by the logarithm.
    assert (prior[1] - prior[0]).mean() > 4.0
