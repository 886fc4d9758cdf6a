"""What training costs: IDRec, UniM that reads vectors or more from caches, and UniM with its encoders trained along.

A step is what `fit` does with the run's configuration: its losses, drawn items and optimizers, clipping included.
"""

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

from plugrank_training.data.modal_vectors import ModalVectors
from plugrank_training.encoders.pixels import load_pixels, normalise
from plugrank_training.encoders.stage import Content
from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.fit.batches import Batch, Batcher, score_batch
from plugrank_training.fit.prepare import Prepared
from plugrank_training.fit.run import Run
from plugrank_training.fit.stages import fit_options
from plugrank_training.fit.train import FitOptions, Optimizers, Scorer, combined_loss
from plugrank_training.models.build import make_idrec, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.groups import freeze
from plugrank_training.models.registry import NETWORKS

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

    def __init__(self, run: Run, prepared: Prepared, model: ClickModel, options: FitOptions) -> None:
        super().__init__()
        self.catalog, self.model, self.options, encoders = prepared.catalog, model, options, prepared.encoders
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

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """As `Scorer`, without the losses of drawn items and of item vectors, which would need more encoding."""
        parts = [self.vectors(name, batch.items) for name, _ in self.catalog.schema.parts]
        present = self.catalog.present[batch.items]
        rows = [part * present[:, column : column + 1] for column, part in enumerate(parts)]
        ids = {name: value[batch.items] for name, value in self.catalog.item_ids.items()}
        near = replace(self.catalog, modal=ModalVectors.of(torch.cat(rows, dim=1)), present=present, item_ids=ids)
        own = replace(batch, items=torch.arange(len(batch.items), device=batch.items.device))
        logits = score_batch(self.model, near, own, self.options.dropping)
        return logits, logits.new_zeros(()), logits.new_zeros(())


@dataclass
class Measured:
    """One kind of training: what a step takes and what it took so far."""

    scorer: Scorer | EndToEnd
    batcher: Batcher
    # One round in so many is measured.
    every: int = 1
    seconds: dict[int, float] = field(default_factory=dict)
    # Of all threads of the process, on a CPU: what other work on the machine hardly changes.
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)
    # Of the process, or of the GPU's allocator; None where the system does not tell.
    peak_megabytes: float | None = None

    def __post_init__(self) -> None:
        self.scorer.train()
        self.optimizers = Optimizers(self.scorer, self.scorer.options)
        self.batches = self.endless()

    def endless(self) -> Iterator[Batch]:
        """The same batches in the same order for every kind."""
        while True:
            yield from self.batcher.passes(np.random.default_rng(0), by_user=self.scorer.options.ranking > 0)

    def step(self, number: int) -> None:
        """Make a batch and train on it; or only make it, where the round is not this kind's."""
        device = self.batcher.device
        peak_memory(device, reset=True)
        started, cpu = time.perf_counter(), time.process_time()
        batch = next(self.batches)
        if number % self.every:
            return
        loss = combined_loss(self.scorer(batch), batch, self.scorer.options, self.scorer.model.labelled_tasks)
        self.optimizers.zero_grad()
        loss.backward()
        self.optimizers.step()
        # Waits for a GPU to have done the step.
        loss.item()
        self.seconds[number], self.rows[number] = time.perf_counter() - started, batch.rows
        self.cpu_seconds[number] = time.process_time() - cpu
        peak = peak_memory(device, reset=False)
        self.peak_megabytes = peak if peak is None else max(peak, self.peak_megabytes or 0.0)

    def cost(self, base: Measured) -> dict[str, float | int | None]:
        """Medians over rounds: seconds per 1M examples, and how many times the base's on the same batches; the same of
        processor time where that is all that a step takes."""
        rounds = [number for number in self.seconds if number >= WARM_UP_ROUNDS]
        found: dict[str, float | int | None] = {}
        clocks = [("", self.seconds, base.seconds)]
        if self.batcher.device.type == "cpu":
            clocks.append(("cpu_", self.cpu_seconds, base.cpu_seconds))
        for kind, mine, theirs in clocks:
            found[f"{kind}seconds_per_million"] = float(np.median([mine[one] / self.rows[one] for one in rounds]) * 1e6)
            found[f"{kind}times_idrec"] = float(np.median([mine[one] / theirs[one] for one in rounds]))
        return found | {"peak_megabytes": self.peak_megabytes, "rows": sum(self.rows[number] for number in rounds)}


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


def kinds(run: Run, prepared: Prepared, end_to_end: bool) -> dict[str, Measured]:
    """IDRec and UniM, with fresh weights, on the newest training rows; `end_to_end` trains the run's encoders along."""
    catalog = prepared.catalog
    schema, config, device = catalog.schema, run.config, run.options.device
    part = run.split.train.take(slice(max(0, len(run.split.train) - NEWEST_ROWS), None))

    def options(name: str) -> FitOptions:
        return fit_options(name, config, 0, NETWORKS[name])

    def over_caches(name: str, model: ClickModel, frozen: tuple[str, ...] = ()) -> Measured:
        model.to(device)
        freeze(model, frozen)
        chosen = replace(options(name), retrieval=0.0 if LOWER_LAYERS[0] in frozen else options(name).retrieval)
        drawn = prepared.negatives if chosen.lists or chosen.retrieval else None
        batcher = run.batcher(part, True, drawn)
        catalog_of = run.frozen.attach(model, catalog, [batcher])
        return Measured(Scorer(model, catalog_of, chosen), batcher)

    def unified(frozen: tuple[str, ...] = ()) -> Measured:
        return over_caches("unified", make_unified(schema, config, 0), frozen)

    made = {
        "idrec": over_caches("idrec", make_idrec(schema, config, 0)),
        "unified, cached vectors": unified(),
        "unified, lower layers frozen and cached": unified(LOWER_LAYERS),
        "unified, PPM frozen and cached": unified(ALL_LAYERS),
    }
    if set(config.unified.freeze) not in (set(), set(LOWER_LAYERS), set(ALL_LAYERS)):
        made["unified, frozen as configured"] = unified(config.unified.freeze)
    if end_to_end:
        scorer = EndToEnd(run, prepared, make_unified(schema, config, 0), options("unified"))
        made["unified, end to end"] = Measured(scorer, run.batcher(part, True), END_TO_END_EVERY)
    return made


def iteration_efficiency(run: Run, prepared: Prepared, seconds: float, end_to_end: bool) -> dict[str, Any]:
    """What a step costs, in one process, the kinds taking turns on each batch, for about `seconds` a kind."""
    measured = kinds(run, prepared, end_to_end)
    gc.collect()
    started, number = time.perf_counter(), 0
    least = WARM_UP_ROUNDS + LEAST_ROUNDS
    while number < least or time.perf_counter() - started < seconds * len(measured):
        for one in measured.values():
            one.step(number)
        number += 1
    return {name: one.cost(measured["idrec"]) for name, one in measured.items()}
