"""What training costs: IDRec, UniM that reads vectors or more from caches, and UniM with its encoders trained along."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.modal_vectors import ModalVectors
from plugrank_training.encoders.pixels import load_pixels, normalise
from plugrank_training.encoders.stage import Content
from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.fit.batches import Batch, Batcher, Dropping, score_batch
from plugrank_training.fit.prepare import Prepared
from plugrank_training.fit.run import Run
from plugrank_training.fit.train import batch_loss
from plugrank_training.models.build import make_idrec, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.groups import freeze

WARM_UP_ROUNDS = 2
LEAST_ROUNDS = 4
# A step with the encoders takes as long as many without.
END_TO_END_EVERY = 4
# Training rows that are enough for it.
NEWEST_ROWS = 100_000
LOWER_LAYERS = ("ppm.projection", "ppm.transformer")
ALL_LAYERS = (*LOWER_LAYERS, "ppm.attention")


class EndToEnd(nn.Module):
    """UniM over encoders that run, and train, for the items of every batch."""

    def __init__(self, run: Run, prepared: Prepared, model: ClickModel) -> None:
        super().__init__()
        self.catalog, self.model, encoders = prepared.catalog, model, prepared.encoders
        data, device = run.dataset, run.options.device
        content = Content(run.options.dataset, data.titles, data.texts, data.categories, data.images)
        self.encoders = nn.ModuleDict()
        self.inputs: dict[str, tuple[Tensor, ...]] = {}
        if encoders.text:
            self.encoders["text"] = encoders.text.encoder
            tokens = tokenize(encoders.text.tokenizer, content.texts(), run.config.text.max_tokens)
            self.inputs["text"] = tuple(torch.from_numpy(part) for part in tokens)
        if encoders.image:
            size = run.config.image
            self.encoders["image"] = encoders.image.encoder
            pixels = np.zeros((len(data.images), 3, size.height, size.width), dtype=np.uint8)
            for row, image in enumerate(data.images):
                if image:
                    pixels[row] = load_pixels(content.folder / image, size.width, size.height)
            self.inputs["image"] = (torch.from_numpy(pixels),)
        self.to(device)

    def vectors(self, name: str, items: Tensor) -> Tensor:
        """Encode the items of a batch, `[items, dim]`."""
        given = [part[items.cpu()] for part in self.inputs[name]]
        if name == "image":
            given = [torch.from_numpy(normalise(given[0].numpy()))]
        made: Tensor = self.encoders[name](*(part.to(items.device) for part in given))
        return made

    def forward(self, batch: Batch, dropping: Dropping) -> Tensor:
        """Logits `[G, C]`."""
        parts = [self.vectors(name, batch.items) for name, _ in self.catalog.schema.parts]
        present = self.catalog.present[batch.items]
        rows = [part * present[:, column : column + 1] for column, part in enumerate(parts)]
        ids = {name: value[batch.items] for name, value in self.catalog.item_ids.items()}
        near = replace(self.catalog, modal=ModalVectors.of(torch.cat(rows, dim=1)), present=present, item_ids=ids)
        own = replace(batch, items=torch.arange(len(batch.items), device=batch.items.device))
        return score_batch(self.model, near, own, dropping)[..., 0]


class Cached(nn.Module):
    """A click model over stored vectors."""

    def __init__(self, catalog: Catalog, model: ClickModel) -> None:
        super().__init__()
        self.catalog, self.model = catalog, model

    def forward(self, batch: Batch, dropping: Dropping) -> Tensor:
        """Logits `[G, C]`."""
        return score_batch(self.model, self.catalog, batch, dropping)[..., 0]


@dataclass
class Measured:
    """One kind of training: what a step takes and what it took so far."""

    scorer: nn.Module
    batcher: Batcher
    # One round in so many is measured.
    every: int = 1
    seconds: dict[int, float] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)
    # Of the process, or of the GPU's allocator; None where the system does not tell.
    peak_megabytes: float | None = None

    def __post_init__(self) -> None:
        self.scorer.train()
        trains = [parameter for parameter in self.scorer.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trains, lr=1e-3, fused=True)
        self.batches = self.endless()

    def endless(self) -> Iterator[Batch]:
        """The same batches in the same order for every kind."""
        while True:
            yield from self.batcher.passes(np.random.default_rng(0))

    def step(self, number: int, dropping: Dropping) -> None:
        """Make a batch and train on it; or only make it, where the round is not this kind's."""
        device = self.batcher.device
        peak_memory(device, reset=True)
        started = time.perf_counter()
        batch = next(self.batches)
        if number % self.every:
            return
        loss = batch_loss(self.scorer(batch, dropping), batch.label, batch.there)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        # Waits for a GPU to have done the step.
        loss.item()
        self.seconds[number], self.rows[number] = time.perf_counter() - started, batch.rows
        peak = peak_memory(device, reset=False)
        self.peak_megabytes = peak if peak is None else max(peak, self.peak_megabytes or 0.0)

    def cost(self, base: Measured) -> dict[str, float | int | None]:
        """Medians over rounds: seconds per 1M examples, and how many times the base's on the same batches."""
        rounds = [number for number in self.seconds if number >= WARM_UP_ROUNDS]
        each = [self.seconds[number] / self.rows[number] for number in rounds]
        times = [self.seconds[number] / base.seconds[number] for number in rounds]
        return {
            "seconds_per_million": float(np.median(each) * 1e6),
            "times_idrec": float(np.median(times)),
            "peak_megabytes": self.peak_megabytes,
            "rows": sum(self.rows[number] for number in rounds),
        }


def peak_memory(device: torch.device, reset: bool) -> float | None:
    """Highest memory since the last reset, in MB."""
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    high = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), None)
    return None if high is None else int(high) * 1024 / 1e6


def kinds(run: Run, prepared: Prepared) -> dict[str, Measured]:
    """IDRec and UniM, with fresh weights, on the newest training rows; the run's encoders train along."""
    catalog = prepared.catalog
    schema, config, device = catalog.schema, run.config, run.options.device
    part = run.split.train.take(slice(max(0, len(run.split.train) - NEWEST_ROWS), None))

    def over_caches(model: ClickModel, frozen: tuple[str, ...] = ()) -> Measured:
        model.to(device)
        freeze(model, frozen)
        batcher = run.batcher(part, True)
        return Measured(Cached(run.frozen.attach(model, catalog, [batcher]), model), batcher)

    end_to_end = EndToEnd(run, prepared, make_unified(schema, config, 0))
    return {
        "idrec": over_caches(make_idrec(schema, config, 0)),
        "unified, cached vectors": over_caches(make_unified(schema, config, 0)),
        "unified, lower layers frozen and cached": over_caches(make_unified(schema, config, 0), LOWER_LAYERS),
        "unified, PPM frozen and cached": over_caches(make_unified(schema, config, 0), ALL_LAYERS),
        "unified, end to end": Measured(end_to_end, run.batcher(part, True), END_TO_END_EVERY),
    }


def iteration_efficiency(run: Run, prepared: Prepared, seconds: float) -> dict[str, Any]:
    """What a step costs, in one process, the kinds taking turns on each batch, for about `seconds` a kind."""
    measured = kinds(run, prepared)
    dropping = Dropping(run.config.ppm.drop_item, run.config.host.drop_item_id, run.config.host.drop_user_id)
    gc.collect()
    started, number = time.perf_counter(), 0
    least = WARM_UP_ROUNDS + LEAST_ROUNDS
    while number < least or time.perf_counter() - started < seconds * len(measured):
        for one in measured.values():
            one.step(number, dropping)
        number += 1
    return {name: one.cost(measured["idrec"]) for name, one in measured.items()}
