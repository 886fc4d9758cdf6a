"""Killed training resumes to equal weights; several processes compute the same as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from planted import write_clicks, write_planted
from plugrank_training.durable import write_durably
from plugrank_training.fit.checkpoint import Checkpoint

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "set")


def command(data: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, str(HERE / "fit_planted.py"), str(data), str(out), *more]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}


def kill_after(checkpoint: Path, process: subprocess.Popen[bytes]) -> bool:
    """SIGKILL shortly after the first checkpoint, possibly during a save. Returns whether it was killed."""
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        if checkpoint.is_file():
            time.sleep(0.13)
            break
        time.sleep(0.005)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def test_killed_training_resumes_to_equal_weights(tmp_path: Path) -> None:
    """One kill in next-click pre-training, one in the fit."""
    data, whole, parts = write_clicks(tmp_path / "set"), tmp_path / "whole", tmp_path / "parts"
    subprocess.run(command(data, whole), check=True, env=environment(), timeout=300)
    for name in ("next_clicks-1.checkpoint", "fit.checkpoint"):
        assert kill_after(parts / name, subprocess.Popen(command(data, parts, "--resume"), env=environment())), name
        assert (parts / name).is_file()
    assert (parts / "next_clicks-1.safetensors").is_file()
    subprocess.run(command(data, parts, "--resume"), check=True, env=environment(), timeout=300)
    for name in ("next_clicks-1.safetensors", "weights.safetensors"):
        expected, found = load_file(whole / name), load_file(parts / name)
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    told = [json.loads((run / "next_clicks-1.json").read_text(encoding="utf-8")) for run in (whole, parts)]
    assert told[0]["train_loss"] == told[1]["train_loss"]


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
