"""Outputs of frozen layers, computed once, kept in mapped files and read by training and evaluation.

A file is found again by the frozen weights, the catalog's content and the histories it was made of, so whatever of
these changes, another one is made. In memory there is a batch at a time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from plugrank_training.data.catalog import Catalog
from plugrank_training.data.frozen_items import FrozenItems
from plugrank_training.data.history_states import HistoryStates
from plugrank_training.data.interaction_file import PIECE
from plugrank_training.data.mapped import Arrays, Shapes, mapped_arrays
from plugrank_training.distributed import is_main
from plugrank_training.fit.batches import Batcher, Block
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.inputs import History, ItemInputs, Named
from plugrank_training.progress_bar import progress_bar

ITEMS_AT_ONCE = 4096
GROUPS_AT_ONCE = 256


@dataclass(frozen=True)
class FrozenCache:
    """Where files are kept, and what the histories are of (a fingerprint of data set and split)."""

    folder: Path
    data: str

    def attach(self, model: ClickModel, catalog: Catalog, batchers: Sequence[Batcher]) -> Catalog:
        """A catalog, and batchers (changed in place), that read what `model` need not compute any more.

        Nothing changes where no layer's outputs can be stored. Raises `ValueError` where the disk has no room.
        """
        made = StoredOutputs(model, catalog)
        if not made.widths:
            return catalog
        frozen: dict[str, Tensor] = {name: value for name, value in model.named_parameters() if not value.requires_grad}
        # Spaces of similarity are buffers: they do not train either, and what is stored depends on them.
        frozen |= dict(model.named_buffers())
        weights = digest(value for _, value in sorted(frozen.items()))
        key = f"{weights}-{catalog_digest(catalog)}"
        shapes: Shapes = {name: ((len(catalog.present) + 1, width), np.float32) for name, width in made.widths.items()}
        items = mapped_arrays(self.room(f"frozen-items-{key}", shapes), shapes, made.fill_items)
        catalog = replace(catalog, frozen=FrozenItems(items, catalog.present.device))
        if made.state_widths:
            for batcher in batchers:
                batcher.states = self.states(made, catalog, batcher, weights)
        return catalog

    def states(self, made: StoredOutputs, catalog: Catalog, batcher: Batcher, weights: str) -> HistoryStates:
        """Outputs over every history of a batcher."""
        part, bounds = batcher.examples, batcher.history.bounds
        # What the serving side keeps in f16 is stored so here: half the disk, and half of what a step reads.
        kind = np.float16 if made.model.rounds else np.float32
        layout = f"{self.data}-{sorted(bounds.items())}-{batcher.candidates}-{batcher.block}-{np.dtype(kind)}"
        rows = digest([part.user, part.timestamp])
        name = hashlib.sha256(f"{layout}-{rows}-{weights}-{catalog_digest(catalog)}".encode()).hexdigest()[:16]
        entries, groups = 0, 0
        for block in blocks(batcher):
            groups += len(block.start)
            entries += int(lengths(batcher, block).sum())
        shapes: Shapes = {
            # A row more than there may be, as nothing cannot be indexed.
            **{key: ((entries + 1, width), kind) for key, width in made.state_widths.items()},
            "starts": ((groups + 1,), np.int64),
            "blocks": ((batcher.blocks + 1,), np.int64),
        }
        folder = self.room(f"frozen-histories-{name}", shapes)
        arrays = mapped_arrays(folder, shapes, lambda files: made.fill_states(files, catalog, batcher))
        starts, firsts = arrays.pop("starts"), arrays.pop("blocks")
        return HistoryStates(arrays, starts, firsts)

    def room(self, name: str, shapes: Shapes) -> Path:
        """The folder of files, which must be there already or fit on the disk."""
        folder = self.folder / name
        if not folder.is_dir():
            size = sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in shapes.values())
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if size > free:
                raise ValueError(
                    f"unified.freeze: outputs of the frozen layers take {size / 1e9:.1f} GB, and {self.folder} has "
                    f"{free / 1e9:.1f} GB; freeze less, or train on a shorter window (unified.window)"
                )
            if is_main():
                print(f"{name.rsplit('-', 1)[0]}: {size / 1e6:,.0f} MB", flush=True)
        return folder


class StoredOutputs:
    """Computes what is stored."""

    def __init__(self, model: ClickModel, catalog: Catalog) -> None:
        self.model, self.catalog, self.device = model, catalog, catalog.present.device
        model.eval()
        with torch.no_grad():
            first = inputs_of(catalog, torch.zeros(1, dtype=torch.long, device=self.device))
            # Where a branch still needs the vectors, the others may as well read them too.
            needed = any(part.reads_vectors and not part.frozen_item(first) for part in model.parts())
            one = {} if needed else self.items(first)
            self.widths = {name: value.shape[1] for name, value in one.items()}
            self.state_widths: dict[str, int] = {}
            if one:
                zeros = torch.zeros(1, 1, dtype=torch.long, device=self.device)
                rows = {name: value.unsqueeze(0) for name, value in one.items()}
                told = self.over(rows, zeros, zeros, torch.ones(1, 1, device=self.device))
                self.state_widths = {name: value.shape[2] for name, value in told.items()}

    def items(self, inputs: ItemInputs) -> Named:
        """Outputs of all branches for items."""
        return {name: value for part in self.model.parts() for name, value in part.frozen_item(inputs).items()}

    def over(self, rows: Named, label: Tensor, age: Tensor, mask: Tensor) -> Named:
        """Outputs of all branches for histories; items' outputs as the cache of the serving side gives them."""
        history = History(self.model.cached(rows), label, age, mask, {}, torch.zeros_like(mask))
        return {name: value for part in self.model.parts() for name, value in part.frozen_history(history).items()}

    @torch.no_grad()
    def fill_items(self, arrays: Arrays) -> None:
        """Every item, and one of which nothing is known."""
        self.model.eval()
        count = len(self.catalog.present)
        for first in progress_bar(range(0, count, ITEMS_AT_ONCE), desc="frozen layers, items", unit="batch"):
            items = torch.arange(first, min(first + ITEMS_AT_ONCE, count), device=self.device)
            for name, value in self.items(inputs_of(self.catalog, items)).items():
                arrays[name][first : first + len(items)] = value.cpu().numpy()
        one = inputs_of(self.catalog, torch.zeros(1, dtype=torch.long, device=self.device))
        absent = {feature.name: feature.absent for feature in self.catalog.schema.item}
        nothing = {name: torch.full_like(ids, absent[name]) for name, ids in one.features.items()}
        unknown = ItemInputs(torch.zeros_like(one.modal), torch.zeros_like(one.present), nothing)
        for name, value in self.items(unknown).items():
            arrays[name][count] = value[0].cpu().numpy()

    @torch.no_grad()
    def fill_states(self, arrays: Arrays, catalog: Catalog, batcher: Batcher) -> None:
        """Every entry of every history of a batcher."""
        self.model.eval()
        frozen, device = catalog.frozen, self.device
        if frozen is None:
            raise ValueError("items' outputs come before histories'")
        entry, group = 0, 0
        for number, block in enumerate(blocks(batcher)):
            users, times = histories_of(batcher, block)
            size = lengths(batcher, block)
            arrays["starts"][group + 1 : group + 1 + len(size)] = entry + np.cumsum(size)
            group += len(size)
            arrays["blocks"][number + 1] = group
            chunks = range(0, len(users), GROUPS_AT_ONCE)
            for first in progress_bar(chunks, desc="frozen layers, histories", unit="batch"):
                rows = slice(first, first + GROUPS_AT_ONCE)
                past = batcher.history.gather(users[rows], times[rows])
                items = torch.from_numpy(np.maximum(past.items, 0)).flatten().to(device)
                vectors = frozen.rows(items, torch.zeros(len(items), dtype=torch.bool))
                told = self.over(
                    {name: value.unflatten(0, past.items.shape) for name, value in vectors.items()},
                    torch.from_numpy(past.labels).to(device),
                    torch.from_numpy(past.age_bucket).to(device),
                    torch.from_numpy(past.mask).to(device),
                )
                there = past.mask > 0
                count = int(there.sum())
                for name, value in told.items():
                    arrays[name][entry : entry + count] = value.cpu().numpy()[there]
                entry += count


def inputs_of(catalog: Catalog, items: Tensor) -> ItemInputs:
    """Catalog rows as the item encoder reads them."""
    features = {name: ids[items] for name, ids in catalog.item_ids.items()}
    return ItemInputs(catalog.modal[items], catalog.present[items], features)


def blocks(batcher: Batcher) -> Iterator[Block]:
    """Its blocks in the order of the part."""
    return (batcher.block_at(number) for number in range(batcher.blocks))


def histories_of(batcher: Batcher, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """User and moment of every group."""
    first = block.order[block.start]
    return batcher.examples.user[first], batcher.examples.timestamp[first]


def lengths(batcher: Batcher, block: Block) -> np.ndarray:
    """Entries of every group's history, int64 `[groups]`."""
    shown, clicks = batcher.history.counts(*histories_of(batcher, block))
    bounds = batcher.history.bounds
    found: np.ndarray = np.minimum(clicks, bounds[1]) + np.minimum(shown - clicks, bounds[0])
    return found


def digest(arrays: Iterable[Tensor | np.ndarray]) -> str:
    """Sixteen hex digits that change with any number; a piece at a time."""
    state = hashlib.sha256()
    for array in arrays:
        rows = array.detach().cpu().numpy() if isinstance(array, Tensor) else array
        state.update(str((rows.shape, rows.dtype)).encode())
        rows = np.atleast_1d(rows)
        for first in range(0, len(rows), PIECE):
            state.update(np.ascontiguousarray(rows[first : first + PIECE]).tobytes())
    return state.hexdigest()[:16]


def catalog_digest(catalog: Catalog) -> str:
    """Changes with the content of any item."""
    features = (ids for name, ids in sorted(catalog.item_ids.items()) if name != "item_id")
    return digest([*catalog.modal.parts, catalog.present, *features])
