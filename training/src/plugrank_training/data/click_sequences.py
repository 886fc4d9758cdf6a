"""What every user clicked, in order, for what is trained on sequences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from plugrank_training.config import NextClickConfig
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex

# Entries that a chunk repeats of the one before it, so that its first moments know some past.
OVERLAP = 10


class ClickSequences:
    """Every user's clicks up to the end of the training part, oldest first."""

    def __init__(self, history: HistoryIndex, train: Examples) -> None:
        users = len(history.user_start) - 1
        last = np.full(users, np.iinfo(np.int64).min)
        np.maximum.at(last, train.user, train.timestamp)
        user = np.repeat(np.arange(users), np.diff(history.user_start))
        kept = (history.label == 1) & (history.timestamp <= last[user])
        self.item, self.user = history.item[kept], user[kept]
        self.start = np.searchsorted(self.user, np.arange(users + 1))
        # Sorted keys of (user, item).
        self.width = int(history.item.max(initial=0)) + 1
        self.pairs = np.unique(self.user * self.width + self.item)

    def clicked(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether each pair occurs, bool, the shape of both broadcast together."""
        wanted = user.astype(np.int64) * self.width + item
        place = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return self.pairs[place] == wanted

    def chunks(self, length: int, random: np.random.Generator) -> list[tuple[int, int]]:
        """Pieces [first, end) of at least 2 entries, cut at other places every time; of like length side by side."""
        found = []
        for first, end in zip(self.start[:-1].tolist(), self.start[1:].tolist(), strict=True):
            offset = int(random.integers(OVERLAP, length + 1))
            cuts = [first, *range(first + offset, end, length), end]
            for cut, stop in pairwise(cuts):
                begin = max(first, cut - OVERLAP)
                if stop - begin > 1:
                    found.append((begin, stop))
        return sorted(found, key=lambda chunk: (chunk[1] - chunk[0]) // 8 + random.random())

    def batches(self, config: NextClickConfig, random: np.random.Generator) -> list[list[tuple[int, int]]]:
        """One pass, about `config.clicks` entries a batch, in random order."""
        batches: list[list[tuple[int, int]]] = [[]]
        count = 0
        for chunk in self.chunks(config.length, random):
            if count >= config.clicks:
                batches.append([])
                count = 0
            batches[-1].append(chunk)
            count += chunk[1] - chunk[0]
        random.shuffle(batches)
        return batches
