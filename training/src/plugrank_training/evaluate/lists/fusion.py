"""Merging ranked lists, as the retrieval service does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Keeps the difference between the first places of a list small against being named by two sources.
RANK_OFFSET = 60.0


@dataclass(frozen=True)
class RankedList:
    """A list that is merged with others; best first, each item once."""

    # int64 [n]
    items: np.ndarray
    weight: float = 1.0


@dataclass(frozen=True)
class Fused:
    """Merged candidates, best first."""

    # int64 [n]
    items: np.ndarray
    # bool [n, lists]: which lists named each.
    named: np.ndarray


def fuse(lists: Sequence[RankedList]) -> Fused:
    """Reciprocal rank fusion: the sum over lists of `weight / (60 + rank)`, rank from 1.

    Equals stay in the order in which they are met, going rank by rank and within a rank by the order of the lists.
    Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    count = len(lists)
    items = np.concatenate([np.zeros(0, np.int64), *(one.items for one in lists)])
    rank = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(one.items)) for one in lists)])
    source = np.repeat(np.arange(count), [len(one.items) for one in lists])
    order = np.lexsort((source, rank))
    items, rank, source = items[order], rank[order], source[order]
    distinct, first, place = np.unique(items, return_index=True, return_inverse=True)
    weight = np.array([one.weight for one in lists])
    gain = np.bincount(place, weight[source] / (RANK_OFFSET + 1.0 + rank), minlength=len(distinct))
    named = np.zeros((len(distinct), count), dtype=bool)
    named[place, source] = True
    best = np.lexsort((first, -gain))
    return Fused(distinct[best], named[best])
