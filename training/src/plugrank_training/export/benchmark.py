"""How fast a bundle's graphs run on ONNX Runtime: rows per second of one thread."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plugrank_training.export.onnx_files import NUMPY_TYPES, OnnxGraph

# Tokens of a text in a timing of the text encoder.
TOKENS = 32


@dataclass(frozen=True)
class Timing:
    """One graph at one size."""

    graph: str
    users: int
    candidates: int
    history: int
    # Median time of a run.
    median_ms: float
    rows_per_second: float


def graphs_in(bundle: Path) -> dict[str, Any]:
    """The manifest's `graphs`."""
    found: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["graphs"]
    return found


def random_input(port: dict[str, Any], sizes: dict[str, int], random: np.random.Generator) -> np.ndarray:
    """Random values of a manifest's input; ids and buckets are 0 or 1, masks 1."""
    shape = [size if isinstance(size, int) else sizes[size] for size in port["shape"]]
    kind = NUMPY_TYPES[port["dtype"]]
    if kind == np.int64:
        return random.integers(0, 2, size=shape, dtype=np.int64)
    if port["source"].endswith("mask"):
        return np.ones(shape, dtype=kind)
    return (random.standard_normal(shape) * 0.3).astype(kind)


def time_graph(
    bundle: Path, name: str, users: int, candidates: int, history: int, seconds: float = 2.0, threads: int = 1
) -> Timing:
    """Run one graph of a bundle for about `seconds` after a warm-up."""
    graph = graphs_in(bundle)[name]
    random = np.random.default_rng(0)
    sizes = {"users": users, "candidates": candidates, "history": history, "items": candidates}
    sizes |= {"batch": candidates, "tokens": TOKENS}
    inputs = {port["name"]: random_input(port, sizes, random) for port in graph["inputs"]}
    loaded = OnnxGraph(bundle / graph["file"], threads)
    for _ in range(5):
        loaded.run(inputs)
    taken = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        loaded.run(inputs)
        taken.append(time.perf_counter() - started)
    median = float(np.median(taken))
    by_item = name in ("item_encoder", "text_encoder", "image_encoder")
    rows = candidates if by_item else users if name == "user_encoder" else users * candidates
    return Timing(name, users, candidates, history, median * 1e3, rows / median)


def benchmark(bundle: Path, history: int = 100, seconds: float = 2.0) -> list[Timing]:
    """The serving graphs at the sizes that matter."""
    known = graphs_in(bundle)
    plan = [
        ("unified", 1, 500),
        ("unified", 1, 50),
        ("unified", 8, 50),
        ("idrec", 1, 500),
        ("user_encoder", 1, 1),
        ("item_encoder", 1, 500),
    ]
    return [time_graph(bundle, name, users, count, history, seconds) for name, users, count in plan if name in known]


def table(timings: list[Timing]) -> str:
    """The timings as text."""
    head = f"{'graph':14} {'users':>5} {'candidates':>10} {'history':>7} {'ms':>8} {'rows/s':>10}"
    lines = [
        f"{t.graph:14} {t.users:5} {t.candidates:10} {t.history:7} {t.median_ms:8.3f} {t.rows_per_second:10.0f}"
        for t in timings
    ]
    return "\n".join([head, *lines])
