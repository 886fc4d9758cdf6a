"""The stage cache, and the smaller helpers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plugrank_training.cli import main
from plugrank_training.config import Config
from plugrank_training.data.examples import Examples
from plugrank_training.export.benchmark import benchmark, table
from plugrank_training.export.bundle import vocab_files
from plugrank_training.export.tiny import tiny_schema
from plugrank_training.fit.pretrain import newest
from plugrank_training.models.build import make_unified
from plugrank_training.models.features import Feature
from plugrank_training.models.groups import groups_of
from plugrank_training.models.inputs import ItemInputs
from plugrank_training.models.ppm import ItemProjection
from plugrank_training.stage_cache import StageCache, fingerprint, fingerprint_folder


def test_a_stage_is_made_once_for_each_fingerprint(tmp_path: Path) -> None:
    cache, calls = StageCache(tmp_path), []

    def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        calls.append(1)
        return {"w": torch.full((2,), float(len(calls)))}, {"calls": len(calls)}

    first = cache.get_or_make("a", "k1", make)
    again = StageCache(tmp_path).get_or_make("a", "k1", make)
    assert (first.reused, again.reused) == (False, True)
    assert torch.equal(first.tensors["w"], again.tensors["w"])
    assert again.report == {"calls": 1}
    assert not cache.get_or_make("a", "k2", make).reused
    # A run that was killed between the two files left the stage undone.
    cache.path("a", "k1", "json").unlink()
    assert cache.get_or_make("a", "k1", make).report == {"calls": 3}


def test_fingerprints_follow_content(tmp_path: Path) -> None:
    assert fingerprint(Config(), 1) == fingerprint(Config(), 1)
    assert fingerprint(Config(), 1) != fingerprint(Config(), 2)
    assert fingerprint(Config(), 1) != fingerprint(Config().quick(), 1)
    (tmp_path / "dataset.json").write_text("{}", encoding="utf-8")
    before = fingerprint_folder(tmp_path)
    assert fingerprint_folder(tmp_path) == before
    (tmp_path / "dataset.json").write_text("[]", encoding="utf-8")
    assert fingerprint_folder(tmp_path) != before


def test_newest_keeps_equal_times_together() -> None:
    times = np.array([1, 2, 2, 3, 3, 3, 4, 5, 5, 6], dtype=np.int64)
    places = np.arange(10, dtype=np.int32)
    part = newest(Examples(places, places, times, (places % 2).astype(np.int8)), 0.5)
    assert part.timestamp.min() > 3 or (part.timestamp == 3).sum() == 3
    assert len(part) in range(4, 8)


def test_groups_hold_every_matrix_once() -> None:
    model = make_unified(tiny_schema(Config().text, Config().image), Config(), 0)
    grouped = [id(parameter) for group in groups_of(model) for parameter in group.parameters]
    assert len(grouped) == len(set(grouped))
    matrices = {id(parameter) for parameter in model.parameters() if parameter.dim() > 0 and parameter.numel() > 1}
    assert matrices <= set(grouped)


def test_whitening_separates_items_initially() -> None:
    """Vectors with a large common part, as encoders give them."""
    torch.manual_seed(0)
    modal = torch.randn(200, 6) * torch.tensor([1.0, 0.3, 0.1, 1.0, 0.3, 0.1]) + 5.0
    present = torch.ones(200, 2)
    projection = ItemProjection((3, 3), 8)
    given = ItemInputs(modal, present, {})
    with torch.no_grad():
        before = projection(given)
        projection.whiten(modal, present)
        after = projection(given)
        pieces = [projection.projections[n](modal[:, 3 * n : 3 * n + 3]) for n in range(2)]
    assert (before @ before.T).mean() > 0.8
    assert (after @ after.T).mean().abs() < 0.4
    for piece in pieces:
        assert torch.allclose(piece.mean(0), torch.zeros(8), atol=1e-3)
        assert torch.allclose(piece.std(0)[:3], torch.ones(3), atol=0.3)


def test_vocabularies_never_share_a_file() -> None:
    names = ["country", "Country", "a/b", "../x", "country"]
    files = vocab_files([Feature.of(name, ["v"]) for name in names])
    assert files[0] == "vocab/country.txt"
    assert len({file.lower() for file in files}) == len(files)
    assert all(".." not in file.removeprefix("vocab/").split("/") and file.count("/") == 1 for file in files)


def test_benchmark_times_every_serving_graph(tiny_folder: Path) -> None:
    timings = benchmark(tiny_folder, history=10, seconds=0.05)
    assert {t.graph for t in timings} == {"unified", "idrec", "user_encoder", "item_encoder"}
    assert all(t.rows_per_second > 0 for t in timings)
    assert len(table(timings).splitlines()) == len(timings) + 1


def test_invalid_arguments_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--dataset", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert "none: there is no such folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    config = tmp_path / "c.toml"
    config.write_text("[ppm]\nsize = 3\n", encoding="utf-8")
    arguments = ["train", "--dataset", str(tmp_path), "--out", str(tmp_path / "out"), "--config", str(config)]
    assert main(arguments) == 1
    assert "ppm.size" in capsys.readouterr().err
