"""PPM's first pre-training: which item a user clicks next, at every moment of the long window in one pass.

A row of click and non-click costs a whole history; here one pass over a sequence trains all its moments, so that a
window fifty times as long costs the same. Negatives are drawn by how often items are clicked and leave out what the
user clicked, so that popularity tells nothing and what is learned is what the history tells (with such negatives the
softmax's scores are log P(item | history) / P(item), up to a constant of the history).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plugrank_training.config import NextClickConfig
from plugrank_training.data.catalog import Catalog
from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.distributed import is_main
from plugrank_training.fit.batches import Dropping, item_inputs, take_rows
from plugrank_training.fit.checkpoint import Checkpoint
from plugrank_training.fit.train import FitResult, Stopwatch
from plugrank_training.models.ppm import MATCH_SCALE, Ppm
from plugrank_training.progress_bar import progress_bar

WARM_UP = 50


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

    def passes(self, random: np.random.Generator, skip: int = 0) -> Iterator[NextClickBatch]:
        """All clicks once, in random order, but for the first `skip` batches."""
        chosen = [chunks for chunks in self.sequences.batches(self.config, random) if chunks]
        for number, chunks in enumerate(chosen):
            draws = random.random(self.config.negatives)
            if number >= skip:
                yield self.make(chunks, draws)

    def make(self, chunks: list[tuple[int, int]], draws: np.ndarray) -> NextClickBatch:
        """The batch of these chunks; `draws`, evenly from 0 to 1, choose its negatives."""
        first, end = np.array(chunks).T
        places = end[:, None] - 1 - np.arange((end - first).max())
        there = places >= first[:, None]
        entries = self.sequences.item[np.where(there, places, first[:, None])]
        drawn = np.searchsorted(self.popularity, draws, side="right")
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


class NextClickRun:
    """A training run that can be stopped and gone on with between any two steps."""

    def __init__(self, ppm: Ppm, steps: int, config: NextClickConfig, seed: int) -> None:
        self.ppm = ppm
        self.parameters = [parameter for parameter in ppm.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=1e-4, betas=(0.9, 0.98)
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (step + 1) / WARM_UP) * (0.03 + 0.97 * max(0.0, 1.0 - step / steps))
        )
        self.random = np.random.default_rng(seed)
        self.result = FitResult()
        self.epoch = 0
        # Of this pass: the generator at its start, and the losses of its steps.
        self.epoch_random = self.random.bit_generator.state
        self.losses: list[float] = []

    def step(self, loss: Tensor, clicks: int) -> None:
        """Train on one batch."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimizer.step()
        self.schedule.step()
        self.losses.append(loss.item())
        self.result.rows += clicks

    def end_pass(self) -> None:
        """All clicks were trained on once more."""
        self.result.train_loss.append(float(np.mean(self.losses)))
        self.epoch, self.losses, self.epoch_random = self.epoch + 1, [], self.random.bit_generator.state

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "ppm": self.ppm.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "losses": self.losses,
            "random": self.epoch_random,
            "result": vars(self.result),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.ppm.load_state_dict(state["ppm"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.losses = state["epoch"], state["losses"]
        self.epoch_random = self.random.bit_generator.state = state["random"]
        self.result = FitResult(**state["result"])
        torch.set_rng_state(state["torch"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])


def train_next_clicks(
    ppm: Ppm,
    catalog: Catalog,
    sequences: ClickSequences,
    config: NextClickConfig,
    dropping: Dropping,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Train in place; the learning rate falls to zero over `config.epochs` passes.

    Equal arguments give equal weights, on one device, also where a `checkpoint` was gone on from.
    """
    batches = NextClickBatches(sequences, config, next(ppm.parameters()).device)
    torch.manual_seed(seed)
    steps = max(1, config.epochs * len(sequences.batches(config, np.random.default_rng(seed))))
    run = NextClickRun(ppm, steps, config, seed)
    left = checkpoint.load() if checkpoint else None
    if left is not None:
        run.restore(left)
    watch = Stopwatch(run.result)
    bar = progress_bar(total=steps, initial=run.schedule.last_epoch, desc="next clicks", unit="step")
    ppm.train()
    while run.epoch < config.epochs:
        for batch in batches.passes(run.random, skip=len(run.losses)):
            run.step(next_click_loss(ppm, catalog, batch, dropping), int(batch.mask.sum()))
            bar.update()
            if checkpoint and checkpoint.due() and is_main():
                watch.note()
                checkpoint.save(run.state())
        run.end_pass()
        bar.set_postfix(loss=f"{run.result.train_loss[-1]:.4f}", refresh=False)
    bar.close()
    ppm.eval()
    watch.note()
    return run.result
