"""Items and users as tensors: features, modal vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from plugrank_training.config import Config
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.feature_rules import learn_columns, observe
from plugrank_training.data.frozen_items import FrozenItems
from plugrank_training.data.interaction_file import PIECE
from plugrank_training.data.log_context import LogContext
from plugrank_training.data.modal_vectors import ModalVectors
from plugrank_training.data.raw_column import RawColumn, Values, Words
from plugrank_training.feature_config import ColumnConfig
from plugrank_training.models.features import Feature, frequent
from plugrank_training.models.inputs import Named
from plugrank_training.models.schema import Schema


@dataclass(frozen=True)
class Catalog:
    """Rows of a data set's items and users, on one device."""

    schema: Schema
    # int64, or f32 of numbers, [items] or [items, length], and the same for users.
    item_ids: Named
    user_ids: Named
    # Rows f32 [items, modal dim]: mapped from files, or, on a GPU that has room, there.
    modal: ModalVectors
    # f32 [items, parts].
    present: Tensor
    # Outputs of frozen layers that are read instead of the vectors.
    frozen: FrozenItems | None = None
    # What the log says of requests and candidates; None where a model reads neither.
    context: LogContext | None = None

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
    """Item id, categories and every further column of the items."""
    features = [Feature.of("item_id", known_ids(dataset.item_ids, train.item, config.host.min_count))]
    categories = frequent(value for row in dataset.categories for value in row)
    features.append(Feature.of("categories", categories, config.categories_length))
    features += further_features("items", dataset.item_columns, config.features.items, train.item)
    return tuple(features)


def user_features(dataset: Dataset, train: Examples, config: Config) -> tuple[Feature, ...]:
    """User id and every further column of the users."""
    features = [Feature.of("user_id", known_ids(dataset.user_ids, train.user, config.host.min_count))]
    features += further_features("users", dataset.user_columns, config.features.users, train.user)
    return tuple(features)


def further_features(
    table: str, columns: Mapping[str, RawColumn], configured: Mapping[str, ColumnConfig], seen: np.ndarray
) -> list[Feature]:
    """Features of a table's further columns; `seen` are the rows that training impressions are of."""
    counts = count_rows(seen, max((len(column) for column in columns.values()), default=0)) if columns else seen
    rows = np.flatnonzero(counts)
    made = learn_columns(table, columns, configured, rows)
    return [replace(one, observed=observe(one, columns[one.column], rows, counts[rows])) for one in made]


def item_columns(dataset: Dataset) -> dict[str, RawColumn]:
    """Columns of items that features can read, by name."""
    known: dict[str, Sequence[Values]] = {
        "item_id": dataset.item_ids,
        "title": dataset.titles,
        "text": dataset.texts,
        "categories": dataset.categories,
    }
    return {**{name: Words.of(values) for name, values in known.items()}, **dataset.item_columns}


def user_columns(dataset: Dataset) -> dict[str, RawColumn]:
    """Columns of users that features can read, by name."""
    return {"user_id": Words.of(dataset.user_ids), **dataset.user_columns}


def encoded(features: Sequence[Feature], columns: Mapping[str, RawColumn], rows: int) -> dict[str, np.ndarray]:
    """Every feature for all rows; missing where there is no such column."""
    return {feature.name: feature.encode(columns.get(feature.column), rows) for feature in features}


def make_catalog(dataset: Dataset, schema: Schema, modal: Sequence[np.ndarray], present: Tensor) -> Catalog:
    """Encode every item's and user's features, missing where the data has no such column.

    `modal`: of each part `[items, its dim]`; `present [items, parts]`.
    """
    items = encoded(schema.item, item_columns(dataset), len(dataset.item_ids))
    users = encoded(schema.user, user_columns(dataset), len(dataset.user_ids))
    return Catalog(
        schema,
        {name: torch.from_numpy(rows) for name, rows in items.items()},
        {name: torch.from_numpy(rows) for name, rows in users.items()},
        ModalVectors(modal),
        present,
        context=LogContext.of(schema, dataset),
    )
