"""The order of ids that breaks every tie: shorter first, then by bytes (docs/dataset-format.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def shortlex_key(identity: str) -> tuple[int, bytes]:
    """Sort key of one id; lengths are counted in UTF-8 bytes."""
    encoded = identity.encode()
    return len(encoded), encoded


def shortlex_rank(ids: Sequence[str]) -> np.ndarray:
    """Place of each id in the order of all, int64 `[ids]`."""
    keys = [shortlex_key(identity) for identity in ids]
    order = np.array(sorted(range(len(ids)), key=keys.__getitem__), dtype=np.int64)
    rank = np.empty(len(ids), dtype=np.int64)
    rank[order] = np.arange(len(ids))
    return rank
