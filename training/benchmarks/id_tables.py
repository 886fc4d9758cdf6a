"""Rows a processor second of training a host over id tables of several sizes, AdamW and row by row.

    python training/benchmarks/id_tables.py

DCNv2 with an embedding of 16, batches of 64 users with 8 candidates and a history of 20 each; one thread. Times are of
the processor, so that what else runs on the machine matters little.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as functional

from plugrank_training.config import Config, CovisitConfig, HostConfig
from plugrank_training.fit.batches import Dropping, take_rows
from plugrank_training.fit.train import FitOptions, Optimizers
from plugrank_training.models.build import make_idrec
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.features import Feature
from plugrank_training.models.inputs import ItemInputs
from plugrank_training.models.schema import Schema

SIZES = (10_000, 1_000_000, 10_000_000)
# Beyond it the moments of all rows do not fit beside the gradient on a small machine.
LARGEST_DENSE = 1_000_000
USERS, CANDIDATES, HISTORY, DISTINCT = 64, 8, 20, 2000
SECONDS = 4.0


class Numbered(tuple[str, ...]):
    """Stands for so many values without holding them."""

    count = 0

    def __len__(self) -> int:
        return self.count


def numbered(count: int) -> Numbered:
    """`count` values."""
    made = Numbered()
    made.count = count
    return made


def make_model(size: int) -> ClickModel:
    """A host over a table of `size` item ids."""
    item = Feature("item_id", "item_id", 1, numbered(size))
    columns = Feature.of("categories", (f"c{number}" for number in range(20)))
    schema = Schema((item, columns), (Feature.of("user_id", ("u",)),), (("text", 4),), HISTORY, 0)
    config = replace(Config(), host=HostConfig(kind="dcnv2"), covisits=CovisitConfig(dim=0))
    return make_idrec(schema, config, 0)


def step(model: ClickModel, optimizers: Optimizers, size: int, random: np.random.Generator) -> None:
    """Train on one batch of random rows."""

    def places(*shape: int) -> torch.Tensor:
        return torch.from_numpy(random.integers(0, DISTINCT, shape))

    nothing = torch.zeros(DISTINCT, 0)
    ids = {
        "item_id": torch.from_numpy(random.integers(2, size, DISTINCT)),
        "categories": torch.from_numpy(random.integers(2, 22, DISTINCT)),
    }
    made = model.encode_items(ItemInputs(nothing, nothing, ids))
    history = take_rows(made, model.history_outputs(), places(USERS, HISTORY))
    label = torch.ones(USERS, HISTORY, dtype=torch.long)
    user = {"user_id": torch.full((USERS,), 2)}
    state = model.encode_users(history, label, torch.zeros_like(label), label.float(), user)
    candidates = take_rows(made, model.candidate_outputs(), places(USERS, CANDIDATES))
    logit = model.score(state, candidates, torch.zeros(USERS, dtype=torch.long))
    clicked = torch.from_numpy(random.integers(0, 2, logit.shape)).float()
    optimizers.zero_grad()
    functional.binary_cross_entropy_with_logits(logit, clicked).backward()
    optimizers.step()


def main() -> None:
    """Measure every size, and print a line each."""
    torch.set_num_threads(1)
    for size in SIZES:
        for sparse in (False, True):
            if not sparse and size > LARGEST_DENSE:
                continue
            model, random = make_model(size), np.random.default_rng(0)
            options = FitOptions("id tables", 1, 1, 1, 1e-3, 1e-3, 1e-3, 0.5, Dropping(), 0, sparse=sparse)
            optimizers = Optimizers(model, options)
            step(model, optimizers, size, random)
            started, count = time.process_time(), 0
            while time.process_time() - started < SECONDS:
                step(model, optimizers, size, random)
                count += 1
            each = (time.process_time() - started) / count
            kind = "rows of the batch" if sparse else "all rows"
            rate = USERS * CANDIDATES / each
            print(f"{size:>10,} ids, {kind:17}: {each * 1e3:6.1f} ms a step, {rate:8,.0f} rows/s", flush=True)


if __name__ == "__main__":
    main()
