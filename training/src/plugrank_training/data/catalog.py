"""Items and users as tensors: feature ids, modal vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from plugrank_training.config import Config
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.frozen_items import FrozenItems
from plugrank_training.data.interaction_file import PIECE
from plugrank_training.data.modal_vectors import ModalVectors
from plugrank_training.models.features import Feature, frequent
from plugrank_training.models.inputs import Named
from plugrank_training.models.schema import Schema


@dataclass(frozen=True)
class Catalog:
    """Rows of a data set's items and users, on one device."""

    schema: Schema
    # int64 [items] or [items, length], and the same for users.
    item_ids: Named
    user_ids: Named
    # Rows f32 [items, modal dim]: mapped from files, or, on a GPU that has room, there.
    modal: ModalVectors
    # f32 [items, parts].
    present: Tensor
    # Outputs of frozen layers that are read instead of the vectors.
    frozen: FrozenItems | None = None

    def to(self, device: torch.device) -> Catalog:
        """The same on another device."""

        def moved(named: Named) -> Named:
            return {name: value.to(device) for name, value in named.items()}

        return replace(
            self,
            item_ids=moved(self.item_ids),
            user_ids=moved(self.user_ids),
            modal=self.modal.to(device),
            present=self.present.to(device),
        )


def count_rows(rows: np.ndarray, kinds: int) -> np.ndarray:
    """How often each of `kinds` numbers occurs, int64; a piece at a time, as numpy would copy all to another type."""
    counts = np.zeros(kinds, dtype=np.int64)
    for first in range(0, len(rows), PIECE):
        counts += np.bincount(rows[first : first + PIECE], minlength=kinds)
    return counts


def known_ids(ids: Sequence[str], seen: np.ndarray, at_least: int) -> list[str]:
    """Ids that occur at least so often in `seen` (rows), in their order: others have nothing learned to look up."""
    counts = count_rows(seen, len(ids))
    return [ids[row] for row in np.flatnonzero(counts >= at_least).tolist()]


def item_features(dataset: Dataset, train: Examples, config: Config) -> tuple[Feature, ...]:
    """Item id, categories and every further string column of the items."""
    features = [Feature.of("item_id", known_ids(dataset.item_ids, train.item, config.host.min_count))]
    categories = frequent(value for row in dataset.categories for value in row)
    features.append(Feature.of("categories", categories, config.categories_length))
    for name, column in dataset.item_columns.items():
        features.append(Feature.of(name, frequent(column, at_least=2)))
    return tuple(features)


def user_features(dataset: Dataset, train: Examples, config: Config) -> tuple[Feature, ...]:
    """User id and every further column of the users."""
    features = [Feature.of("user_id", known_ids(dataset.user_ids, train.user, config.host.min_count))]
    for name, column in dataset.user_columns.items():
        features.append(Feature.of(name, frequent(column, at_least=2)))
    return tuple(features)


def make_catalog(dataset: Dataset, schema: Schema, modal: Sequence[np.ndarray], present: Tensor) -> Catalog:
    """Encode every item's and user's features, missing where the data has no such column.

    `modal`: of each part `[items, its dim]`; `present [items, parts]`.
    """
    items: dict[str, Sequence[str | Sequence[str] | None]] = {
        "item_id": dataset.item_ids,
        "title": dataset.titles,
        "text": dataset.texts,
        "categories": dataset.categories,
        **dataset.item_columns,
    }
    users: dict[str, Sequence[str | Sequence[str] | None]] = {"user_id": dataset.user_ids, **dataset.user_columns}
    return Catalog(
        schema,
        {f.name: torch.from_numpy(f.encode(items.get(f.column, [None] * len(dataset.item_ids)))) for f in schema.item},
        {f.name: torch.from_numpy(f.encode(users.get(f.column, [None] * len(dataset.user_ids)))) for f in schema.user},
        ModalVectors(modal),
        present,
    )
