"""What became of every column: the table that training prints, and what a model reads that a folder lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plugrank_training.data.dataset import INTERACTIONS, ITEM_COLUMNS, ITEMS, USER_COLUMNS, USERS, Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.interaction_file import COLUMNS as LOG_COLUMNS
from plugrank_training.data.parquet_parts import schemas_of
from plugrank_training.data.parquet_table import is_feature
from plugrank_training.models.features import MISSING, OTHER, Feature
from plugrank_training.models.schema import Schema

if TYPE_CHECKING:
    from plugrank_training.data.catalog import Catalog

# What known columns are, where they are no features.
USES = {
    "title": "text",
    "text": "text",
    "image": "image",
    "created_at": "time of creation",
    "available": "not ranked where false",
    "timestamp": "time",
    "label": "label",
    "user_id": "user",
    "item_id": "item",
    "request_id": "not read by training",
    "position": "not read by training",
}
LATER = "numbers and lists become features with bundle format 2; write categories as strings"


@dataclass(frozen=True)
class ColumnUse:
    """One column of one table."""

    table: str
    column: str
    # What it became, or why it is not used.
    use: str
    # Shares of rows: without a value, and with one that the vocabulary does not have; None where neither is counted.
    missing: float | None = None
    unknown: float | None = None

    def cells(self) -> tuple[str, ...]:
        """As text."""
        return self.table, self.column, share(self.missing), share(self.unknown), self.use


def share(value: float | None) -> str:
    """A share of rows as text."""
    return "" if value is None else f"{value:.1%}"


def column_uses(folder: Path, catalog: Catalog) -> list[ColumnUse]:
    """Every column of a folder's tables in their order, after each table's those that the model reads and it lacks."""
    item_ids = {name: ids.cpu().numpy() for name, ids in catalog.item_ids.items()}
    user_ids = {name: ids.cpu().numpy() for name, ids in catalog.user_ids.items()}
    rows = uses_of(folder, ITEMS, ITEM_COLUMNS, catalog.schema.item, item_ids)
    rows += uses_of(folder, USERS, USER_COLUMNS, catalog.schema.user, user_ids)
    rows += uses_of(folder, INTERACTIONS, LOG_COLUMNS, (), {})
    return rows


def uses_of(
    folder: Path, table: str, known: Sequence[str], features: Sequence[Feature], ids: Mapping[str, np.ndarray]
) -> list[ColumnUse]:
    """The columns of one table."""
    fields = {field.name: field.type for field in schemas_of(folder / table)[0]}
    read = {feature.column: feature for feature in features}
    rows = []
    for name, kind in fields.items():
        if name in read:
            rows.append(feature_use(table, read[name], ids[read[name].name]))
        elif name in known:
            rows.append(ColumnUse(table, name, USES.get(name, "not read by this model")))
        elif is_feature(name, kind):
            rows.append(ColumnUse(table, name, "not used: no value in any row, or the model does not read it"))
        else:
            rows.append(ColumnUse(table, name, f"not used: is {kind}; {LATER}"))
    missing = (feature for feature in features if feature.column not in fields)
    rows += [ColumnUse(table, feature.column, "absent: the model reads it", 1.0, 0.0) for feature in missing]
    return rows


def feature_use(table: str, feature: Feature, ids: np.ndarray) -> ColumnUse:
    """A column that is a feature."""
    rows = ids.reshape(len(ids), -1)
    missing = (rows == MISSING).all(axis=1)
    unknown = (rows == OTHER).any(axis=1)
    many = f", up to {feature.length} a row" if feature.length > 1 else ""
    use = f"feature `{feature.name}`, {len(feature.values):,} values{many}"
    return ColumnUse(table, feature.column, use, float(missing.mean()), float(unknown.mean()))


def column_table(uses: Sequence[ColumnUse]) -> str:
    """The table as text."""
    cells = [("table", "column", "missing", "unknown", "what it became"), *(use.cells() for use in uses)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if place in (2, 3) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def unlisted_note(dataset: Dataset) -> str:
    """What only the log names, for a person; empty where that is nothing."""
    found = []
    if dataset.unlisted_items:
        found.append(f"{dataset.unlisted_items:,} items without content")
    if dataset.unlisted_users:
        found.append(f"{dataset.unlisted_users:,} users without a profile")
    return f"{INTERACTIONS} names what the other tables lack: {', '.join(found)}" if found else ""


def refuse_absent(schema: Schema, dataset: Dataset, allowed: Sequence[str]) -> None:
    """Raise `DatasetError` where a folder lacks a column that a model reads, unless its name is `allowed`."""
    lacking = absent_columns(schema, dataset)
    refused = {table: [name for name in names if name not in allowed] for table, names in lacking.items()}
    told = [f"{table}: no column {', '.join(names)}" for table, names in refused.items() if names]
    if told:
        first = next(name for names in refused.values() for name in names)
        raise DatasetError(
            f"{dataset.folder}: the model reads what the data lacks ({'; '.join(told)}); add it, or have it missing in "
            f"every row by --allow-absent {first}"
        )


def absent_columns(schema: Schema, dataset: Dataset) -> dict[str, list[str]]:
    """Columns that a model reads and a folder has no value of, by table."""
    items = {"item_id", "title", "text", "categories", *dataset.item_columns}
    users = {"user_id", *dataset.user_columns}
    return {
        ITEMS: [feature.column for feature in schema.item if feature.column not in items],
        USERS: [feature.column for feature in schema.user if feature.column not in users],
    }
