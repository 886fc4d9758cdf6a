"""PPM's first pre-training: which item a user clicks next, at every moment of the long window in one pass.

A row of click and non-click costs a whole history; here one pass over a sequence trains all its moments, so that a
window fifty times as long costs the same. Negatives are drawn by how often items are clicked and leave out what the
user clicked, so that popularity tells nothing and what is learned is what the history tells (with such negatives the
softmax's scores are log P(item | history) / P(item), up to a constant of the history).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from plugrank_training.batches import Dropping, item_inputs, take_rows
from plugrank_training.catalog import Catalog
from plugrank_training.config import NextClickConfig
from plugrank_training.examples import Examples
from plugrank_training.history import HistoryIndex
from plugrank_training.models.ppm import MATCH_SCALE, Ppm
from plugrank_training.train import FitResult

# Entries that a chunk repeats of the one before it, so that its first moments know some past.
OVERLAP = 10
WARM_UP = 50


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


@dataclass(frozen=True)
class NextClickBatch:
    """`B` chunks, newest entry first, over `n` distinct items."""

    # int64 [n], rows of the catalog.
    items: Tensor
    # int64 [B, T], places in `items`; f32 [B, T], 1 where there is an entry.
    entries: Tensor
    mask: Tensor
    # int64 [N], places in `items`; bool [B, N], where the chunk's user clicked the negative.
    negatives: Tensor
    clicked: Tensor


class NextClickBatches:
    """Batches of a pass."""

    def __init__(self, sequences: ClickSequences, config: NextClickConfig, device: torch.device) -> None:
        self.sequences, self.config, self.device = sequences, config, device
        self.popularity = np.cumsum(np.bincount(sequences.item)) / max(1, len(sequences.item))

    def passes(self, random: np.random.Generator) -> Iterator[NextClickBatch]:
        """All clicks once, in random order."""
        for chunks in self.sequences.batches(self.config, random):
            if chunks:
                yield self.make(chunks, random)

    def make(self, chunks: list[tuple[int, int]], random: np.random.Generator) -> NextClickBatch:
        """The batch of these chunks, with negatives drawn for it."""
        first, end = np.array(chunks).T
        places = end[:, None] - 1 - np.arange((end - first).max())
        there = places >= first[:, None]
        entries = self.sequences.item[np.where(there, places, first[:, None])]
        drawn = np.searchsorted(self.popularity, random.random(self.config.negatives), side="right")
        clicked = self.sequences.clicked(self.sequences.user[first][:, None], drawn[None, :])
        items, found = np.unique(np.concatenate([entries.ravel(), drawn]), return_inverse=True)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

        return NextClickBatch(
            items=tensor(items.astype(np.int64)),
            entries=tensor(found[: entries.size].reshape(entries.shape)),
            mask=tensor(there.astype(np.float32)),
            negatives=tensor(found[entries.size :]),
            clicked=tensor(clicked),
        )


def next_click_loss(ppm: Ppm, catalog: Catalog, batch: NextClickBatch, dropping: Dropping) -> Tensor:
    """Mean negative log-likelihood of each entry's successor among itself and the negatives (sampled softmax)."""
    made = ppm.item(item_inputs(catalog, batch.items, dropping)).outputs
    vectors = take_rows(made, ["item_vector"], batch.entries)["item_vector"]
    click, age = torch.ones_like(batch.entries), torch.zeros_like(batch.entries)
    states = ppm.to_next(ppm.states(vectors, click, age, batch.mask)) * MATCH_SCALE
    # Newest first: an entry's successor stands before it.
    known = batch.mask[:, 1:] > 0
    states, successor = states[:, 1:][known], batch.entries[:, :-1][known]
    targets = take_rows(made, ["ppm_target"], successor)["ppm_target"]
    right = (states * targets).sum(-1)
    wrong = states @ take_rows(made, ["ppm_target"], batch.negatives)["ppm_target"].T
    clicked = batch.clicked.repeat_interleave(known.sum(1), dim=0)
    wrong = wrong.masked_fill(clicked, -1e4)
    every = torch.cat([right.unsqueeze(1), wrong], dim=1)
    return (torch.logsumexp(every, dim=1) - right).mean()


def train_next_clicks(
    ppm: Ppm, catalog: Catalog, sequences: ClickSequences, config: NextClickConfig, dropping: Dropping, seed: int
) -> FitResult:
    """Train in place; the learning rate falls to zero over `config.epochs` passes."""
    result = FitResult()
    batches = NextClickBatches(sequences, config, catalog.modal.device)
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    parameters = [parameter for parameter in ppm.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=1e-4, betas=(0.9, 0.98))
    steps = max(1, config.epochs * len(sequences.batches(config, np.random.default_rng(seed))))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM_UP) * (0.03 + 0.97 * max(0.0, 1.0 - step / steps))
    )
    started = time.perf_counter()
    bar = tqdm(total=steps, desc="next clicks", unit="step", leave=False)
    ppm.train()
    for _ in range(config.epochs):
        losses = []
        for batch in batches.passes(random):
            loss = next_click_loss(ppm, catalog, batch, dropping)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            result.rows += int(batch.mask.sum())
            bar.update()
        result.train_loss.append(float(np.mean(losses)))
        bar.set_postfix(loss=f"{result.train_loss[-1]:.4f}")
    bar.close()
    ppm.eval()
    result.seconds = time.perf_counter() - started
    return result
