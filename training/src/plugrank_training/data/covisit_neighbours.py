"""Which items are clicked by the same users, close in time, as the loader counts it for the retrieval service."""

from __future__ import annotations

from collections import deque

import numpy as np
from scipy import sparse

# A click is paired with so many of the user's clicks before it.
WINDOW = 20
# Neighbours kept of an item.
KEPT = 50


def covisit_neighbours(user: np.ndarray, item: np.ndarray, items: int, kept: int = KEPT) -> sparse.csr_matrix:
    """Cosine of the items' clicks, `n_ij / sqrt(n_i n_j)`, the best `kept` of each item; f32 `[items, items]`.

    `user` and `item`, int `[clicks]`, are in order of time. A click that repeats one among the user's last `WINDOW` is
    not counted again. Sarwar et al., WWW 2001; Linden et al., IEEE Internet Computing 2003. Two items are counted over
    the whole log here; the loader forgets the rarer half where an item has more than 512 neighbours.
    """
    counted, pairs = counted_pairs(user, item)
    clicks = np.bincount(counted, minlength=items).astype(np.float64)
    ones = np.ones(len(pairs), dtype=np.float64)
    together = sparse.csr_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(items, items))
    together = (together + together.T).tocoo()
    similar = np.minimum(together.data / np.sqrt(clicks[together.row] * clicks[together.col]), 1.0)
    # By row, best first, equals by item.
    order = np.lexsort((together.col, -similar.astype(np.float32), together.row))
    row, column, similar = together.row[order], together.col[order], similar[order]
    start = np.searchsorted(row, np.arange(items))
    best = np.arange(len(row)) - start[row] < kept
    made = sparse.csr_matrix((similar[best].astype(np.float32), (row[best], column[best])), shape=(items, items))
    made.sort_indices()
    return made


def counted_pairs(user: np.ndarray, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clicks that count, int64 `[counted]`, and pairs of items, int64 `[pairs, 2]`."""
    order = np.argsort(user, kind="stable")
    counted: list[int] = []
    first: list[int] = []
    second: list[int] = []
    recent: deque[int] = deque()
    last_user = -1
    for owner, clicked in zip(user[order].tolist(), item[order].tolist(), strict=True):
        if owner != last_user:
            recent, last_user = deque(), owner
        if clicked in recent:
            # The same interest, shown again: it is recent anew.
            recent.remove(clicked)
            recent.append(clicked)
            continue
        counted.append(clicked)
        first.extend(recent)
        second.extend([clicked] * len(recent))
        recent.append(clicked)
        if len(recent) > WINDOW:
            recent.popleft()
    pairs = np.array([first, second], dtype=np.int64).T.reshape(-1, 2)
    return np.array(counted, dtype=np.int64), pairs
