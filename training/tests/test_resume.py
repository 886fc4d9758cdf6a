"""Training that is killed goes on as if nothing had happened; several processes compute what one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from planted import write_planted
from plugrank_training.checkpoint import Checkpoint
from plugrank_training.durable import write_durably

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "set")


def command(data: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, str(HERE / "fit_planted.py"), str(data), str(out), *more]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}


def test_a_killed_fit_goes_on_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run(command(data, whole), check=True, env=environment(), timeout=300)
    checkpoint = parts / "fit.checkpoint"
    kills, last = 0, 0.0
    for _ in range(3):
        process = subprocess.Popen(command(data, parts, "--resume"), env=environment())
        until = time.monotonic() + 120
        # A while after a new checkpoint: at any moment, also within a save.
        while time.monotonic() < until and process.poll() is None:
            if checkpoint.is_file() and checkpoint.stat().st_mtime > last:
                time.sleep(0.13)
                break
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        last = checkpoint.stat().st_mtime if checkpoint.is_file() else last
    assert kills >= 1
    assert not (parts / "weights.safetensors").exists()
    subprocess.run(command(data, parts, "--resume"), check=True, env=environment(), timeout=300)
    expected, found = load_file(whole / "weights.safetensors"), load_file(parts / "weights.safetensors")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_without_resume_a_checkpoint_is_only_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Checkpoint(tmp_path / "a.checkpoint", resume=False).save({"x": 1})
    assert Checkpoint(tmp_path / "a.checkpoint", resume=False).load() is None
    assert "--resume" in capsys.readouterr().out
    assert Checkpoint(tmp_path / "a.checkpoint", resume=True).load() == {"x": 1}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_durably(tmp_path / "f", b"old")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_durably(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"


def test_two_processes_equal_one(data: Path, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone", tmp_path / "both"
    subprocess.run(command(data, alone, "--plain"), check=True, env=environment(), timeout=300)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*launch, *command(data, both, "--plain")[1:]], check=True, env=environment(), timeout=300)
    expected, found = load_file(alone / "weights.safetensors"), load_file(both / "weights.safetensors")
    for name, value in expected.items():
        # Sums in another order; Adam divides by small numbers.
        assert torch.allclose(value, found[name], atol=2e-4), name
    start = load_file(alone / "start.safetensors")
    moved = max(float((expected[name] - start[name]).abs().max()) for name in expected)
    assert moved > 0.01
