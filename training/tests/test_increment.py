"""Daily increments: a bundle is trained on with new days, items and users, and keeps what it learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from days import Days
from plugrank_training.cli import main
from plugrank_training.data.bundle_features import read_schema
from plugrank_training.data.vector_store import VectorStore, content_hash
from plugrank_training.export.onnx_files import OnnxGraph
from plugrank_training.fit.increment import Past, extended, warm_start
from plugrank_training.models.features import Feature


def test_an_increment_learns_the_new_days(days: Days, tmp_path: Path) -> None:
    arguments = ["train", "--dataset", str(days.new), "--out", str(tmp_path), "--from", str(days.first), "--days", "30"]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "increment.json").read_text(encoding="utf-8"))
    assert report["unified"]["valid"]["log_loss"] <= report["unified"]["before"]["log_loss"]
    assert not report["idrec"]["kept"]
    first = json.loads((days.first / "manifest.json").read_text(encoding="utf-8"))
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["version"] != first["version"]
    # Cached modal vectors stay valid.
    assert manifest["encoder_version"] == first["encoder_version"]
    before = (days.first / "vocab" / "item_id.txt").read_text(encoding="utf-8").splitlines()
    after = (tmp_path / "bundle" / "vocab" / "item_id.txt").read_text(encoding="utf-8").splitlines()
    assert after[: len(before)] == before
    assert len(after) > len(before)
    tensors = load_file(tmp_path / "bundle" / "reference.safetensors")
    given = {k.removeprefix("unified/in/"): v for k, v in tensors.items() if k.startswith("unified/in/")}
    found = OnnxGraph(tmp_path / "bundle" / "unified.onnx").run(given)["logit"]
    assert np.abs(found - tensors["unified/out/logit"]).max() < 1e-4
    # Its predictions for the evaluated rows, for `parity`.
    for name in ("idrec", "unified"):
        predictions = pq.read_table(tmp_path / "predictions" / f"{name}.parquet")
        assert predictions.num_rows == report["rows"]["valid"]
        assert all(0 < score < 1 for score in predictions["score"].to_pylist())
    # And from the increment the next one.
    past = Past.read(tmp_path / "bundle")
    assert read_schema(past.folder, past.manifest).item[0].size == len(after) + 2


def test_new_values_start_as_any_other() -> None:
    old, new = (Feature.of("brand", ["a", "b"]),), (Feature.of("brand", ["c", "b"]),)
    assert extended(old, new)[0].values == ("a", "b", "c")
    before, grown = torch.nn.Embedding(4, 3), torch.nn.Embedding(5, 3)
    warm_start(grown, before.state_dict())
    assert torch.equal(grown.weight[:4], before.weight)
    assert torch.equal(grown.weight[4], before.weight[1])
    with pytest.raises(ValueError, match="weight"):
        warm_start(torch.nn.Embedding(3, 3), before.state_dict())


def test_invalid_increments_are_refused(
    days: Days, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["train", "--dataset", str(days.new), "--out", str(tmp_path / "out")]
    for more, message in (
        (["--from", str(tiny_folder), "--days", "1"], "carries no training state"),
        (["--from", str(tmp_path), "--days", "1"], "not a bundle"),
        (["--from", str(days.first)], "belong together"),
        (["--from", str(days.first), "--days", "0"], "at least 1"),
    ):
        assert main([*start, *more]) == 1
        assert message in capsys.readouterr().err


def test_interrupted_encoding_resumes(tmp_path: Path) -> None:
    keys = [content_hash(bytes([n])) if n % 5 else None for n in range(20)]
    calls: list[int] = []

    def encode(places: list[int]) -> np.ndarray:
        if calls and calls[-1] >= 8:
            raise KeyboardInterrupt
        calls.extend(places)
        return np.array([[p, p + 0.5] for p in places], dtype=np.float32)

    with pytest.raises(KeyboardInterrupt):
        VectorStore(tmp_path, "v", 2).fill(keys, encode, 3, "test")
    # A torn row, as a kill between two writes leaves it.
    with (tmp_path / "v.vectors").open("ab") as file:
        file.write(b"torn")
    done = len(calls)
    store = VectorStore(tmp_path, "v", 2)
    calls.clear()
    assert store.fill(keys, lambda p: np.array([[x, x + 0.5] for x in p], np.float32), 3, "test") == 16 - done
    target = np.full((20, 2), 9.0, dtype=np.float32)
    VectorStore(tmp_path, "v", 2).copy_into(target, keys)
    assert target.tolist() == [[n, n + 0.5] if n % 5 else [0, 0] for n in range(20)]
    assert VectorStore(tmp_path, "v", 2).fill(keys, encode, 3, "test") == 0
