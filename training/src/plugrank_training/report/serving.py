"""What serving costs: the bundle's graphs on ONNX Runtime, one CPU thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plugrank_training.export.benchmark import Timing, graphs_in, time_graph


def serving_cost(bundle: Path, candidates: int = 500, history: int = 100, seconds: float = 2.0) -> dict[str, Any]:
    """Milliseconds of a request and rows per second of IDRec, UniM from the caches, and UniM without any cache."""
    known = graphs_in(bundle)

    def timed(name: str, users: int = 1, count: int = candidates) -> Timing:
        return time_graph(bundle, name, users, count, history, seconds)

    unified = timed("unified").median_ms
    found = {"unified, cached": unified}
    if "idrec" in known:
        found["idrec"] = timed("idrec").median_ms
    encoders = [name for name in ("text_encoder", "image_encoder") if name in known]
    # Candidates and history are encoded from their content; then everything that the caches would have held.
    share = (candidates + history) / candidates
    uncached = sum(timed(name).median_ms for name in [*encoders, "item_encoder"]) * share
    found["unified, nothing cached"] = uncached + timed("user_encoder", 1, 1).median_ms + unified
    return {
        "candidates": candidates,
        "history": history,
        "threads": 1,
        "graphs": {name: {"ms": ms, "rows_per_second": candidates / ms * 1e3} for name, ms in found.items()},
    }
