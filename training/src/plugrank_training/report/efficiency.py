"""What training costs: IDRec, UniM that reads vectors from the cache, and UniM with its encoders trained along."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plugrank_training.batches import Batch, Dropping, score_batch
from plugrank_training.catalog import Catalog
from plugrank_training.content import Content
from plugrank_training.encoders.pixels import load_pixels, normalise
from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.modal_vectors import ModalVectors
from plugrank_training.models.build import make_idrec, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.pipeline import Pipeline
from plugrank_training.train import batch_loss

WARM_UP_STEPS = 3


class EndToEnd(nn.Module):
    """UniM over encoders that run, and train, for the items of every batch."""

    def __init__(self, pipeline: Pipeline, catalog: Catalog, model: ClickModel) -> None:
        super().__init__()
        self.catalog, self.model = catalog, model
        data, device = pipeline.dataset, pipeline.options.device
        content = Content(pipeline.options.dataset, data.titles, data.texts, data.categories, data.images)
        self.encoders = nn.ModuleDict()
        self.inputs: dict[str, tuple[Tensor, ...]] = {}
        if pipeline.text:
            self.encoders["text"] = pipeline.text.encoder
            tokens = tokenize(pipeline.text.tokenizer, content.texts(), pipeline.config.text.max_tokens)
            self.inputs["text"] = tuple(torch.from_numpy(part) for part in tokens)
        if pipeline.image:
            size = pipeline.config.image
            self.encoders["image"] = pipeline.image.encoder
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
        return score_batch(self.model, near, own, dropping)


class Cached(nn.Module):
    """A click model over stored vectors."""

    def __init__(self, catalog: Catalog, model: ClickModel) -> None:
        super().__init__()
        self.catalog, self.model = catalog, model

    def forward(self, batch: Batch, dropping: Dropping) -> Tensor:
        """Logits `[G, C]`."""
        return score_batch(self.model, self.catalog, batch, dropping)


@dataclass(frozen=True)
class Cost:
    """What steps of one kind of training cost."""

    seconds_per_million: float
    # Of the process, or of the GPU's allocator; None where the system does not tell.
    peak_megabytes: float | None
    rows: int


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


def cost_of(pipeline: Pipeline, scorer: nn.Module, seconds: float) -> Cost:
    """Train for about so long (the result is thrown away), after a few steps that do not count."""
    device = pipeline.options.device
    scorer.to(device).train()
    optimizer = torch.optim.AdamW(scorer.parameters(), lr=1e-3)
    batcher = pipeline.batcher(pipeline.split.train, True)
    dropping = Dropping(pipeline.config.ppm.drop_item, pipeline.config.host.drop_item_id, 0.5)
    gc.collect()
    peak_memory(device, reset=True)
    rows, step, started = 0, 0, time.perf_counter()
    while True:
        for batch in batcher.passes(np.random.default_rng(0)):
            loss = batch_loss(scorer(batch, dropping), batch.label, batch.there)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step <= WARM_UP_STEPS:
                loss.item()
                rows, started = 0, time.perf_counter()
                continue
            rows += batch.rows
            # Waits for a GPU to have done the step.
            loss.item()
            taken = time.perf_counter() - started
            if taken > seconds:
                return Cost(taken / rows * 1e6, peak_memory(device, reset=False), rows)


def iteration_efficiency(pipeline: Pipeline, catalog: Catalog, seconds: float) -> dict[str, Any]:
    """Costs of the three, with fresh weights, in the same process one after another."""
    schema, config = catalog.schema, pipeline.config
    made = {
        "idrec": lambda: Cached(catalog, make_idrec(schema, config, 0)),
        "unified, cached vectors": lambda: Cached(catalog, make_unified(schema, config, 0)),
        "unified, end to end": lambda: EndToEnd(pipeline, catalog, make_unified(schema, config, 0)),
    }
    return {name: vars(cost_of(pipeline, make(), seconds)) for name, make in made.items()}
