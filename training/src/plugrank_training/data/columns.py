"""What happened to every column: the table that training prints, and what a model reads that a folder lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from plugrank_training.data.catalog import item_columns, user_columns
from plugrank_training.data.dataset import INTERACTIONS, ITEM_COLUMNS, ITEMS, USER_COLUMNS, USERS, Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.feature_rules import observe
from plugrank_training.data.interaction_file import COLUMNS as LOG_COLUMNS
from plugrank_training.data.interaction_file import TASK, is_known
from plugrank_training.data.parquet_parts import schemas_of
from plugrank_training.data.raw_column import RawColumn
from plugrank_training.data.raw_reader import kind_of
from plugrank_training.models.features import Feature
from plugrank_training.models.schema import Schema
from plugrank_training.models.transforms import Transform

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


def column_uses(dataset: Dataset, schema: Schema) -> list[ColumnUse]:
    """Every column of a folder's tables in their order, after each table's those that the model reads and it lacks."""
    rows = uses_of(dataset, ITEMS, ITEM_COLUMNS, schema.item, item_columns(dataset))
    rows += uses_of(dataset, USERS, USER_COLUMNS, schema.user, user_columns(dataset))
    rows += uses_of(dataset, INTERACTIONS, LOG_COLUMNS, log_features_of(schema), log_columns_of(dataset))
    given = {feature.column for feature in schema.candidate}
    notes = dict.fromkeys(given, "given for each candidate")
    notes |= dict.fromkeys((feature.column for feature in schema.history), "of each entry of a history")
    return [
        replace(row, use=f"{row.use}, {notes[row.column]}")
        if row.table == INTERACTIONS and row.column in notes and row.missing is not None
        else row
        for row in rows
    ]


def log_features_of(schema: Schema) -> list[Feature]:
    """What a model reads of the interactions' columns: of requests, of candidates, and of entries of histories."""
    return [one for one in (*schema.request, *schema.candidate, *schema.history) if not one.derive]


def log_columns_of(dataset: Dataset) -> dict[str, RawColumn]:
    """Columns of the interactions that can be features of any of these."""
    return {**dataset.log_columns, **dataset.past_columns}


def uses_of(
    dataset: Dataset,
    table: str,
    known: Sequence[str],
    features: Sequence[Feature],
    columns: Mapping[str, RawColumn],
) -> list[ColumnUse]:
    """The columns of one table."""
    fields = {field.name: field.type for field in schemas_of(dataset.folder / table)[0]}
    read = {feature.column: feature for feature in features}
    rows = []
    for name, kind in fields.items():
        if name in read and name in columns:
            rows.append(feature_use(table, read[name], columns[name]))
        elif table == INTERACTIONS and name.removeprefix(TASK) in dataset.task_labels:
            rows.append(ColumnUse(table, name, f"label of the task `{name.removeprefix(TASK)}`"))
        elif name in known or (table == INTERACTIONS and is_known(name)):
            rows.append(ColumnUse(table, name, USES.get(name, "not read by training")))
        elif kind_of(name, kind):
            rows.append(ColumnUse(table, name, "not used: no value in any row, or the model does not read it"))
        else:
            rows.append(ColumnUse(table, name, f"not used: is {kind}, which is neither text, number nor bool"))
    missing = (feature for feature in features if feature.column not in columns)
    rows += [ColumnUse(table, feature.column, "absent: the model reads it", 1.0, 0.0) for feature in missing]
    return rows


def feature_use(table: str, feature: Feature, column: RawColumn) -> ColumnUse:
    """A column that is a feature. Of a log, which may be long, the shares are of the training rows where known."""
    seen = feature.observed if table == INTERACTIONS else None
    seen = seen or observe(feature, column, np.arange(len(column)))
    many = f", up to {feature.length} a row" if feature.length > 1 else ""
    what = f"{len(feature.values):,} values" if feature.transform is None else told_transform(feature.transform)
    return ColumnUse(table, feature.column, f"feature `{feature.name}`, {what}{many}", seen.missing, seen.unknown)


def told_transform(transform: Transform) -> str:
    """Description of a number's transform."""
    if transform.kind == "standard":
        return f"number, less {transform.mean:.4g}, over {transform.deviation:.4g}"
    if transform.kind == "buckets":
        return f"number in {len(transform.bounds) + 1} buckets"
    return "number" if transform.kind == "none" else f"number, {transform.kind}"


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
    """Description of the ids that only the log has; empty without any."""
    found = []
    if dataset.unlisted_items:
        found.append(f"{dataset.unlisted_items:,} items without content")
    if dataset.unlisted_users:
        found.append(f"{dataset.unlisted_users:,} users without a profile")
    return f"{INTERACTIONS} names what the other tables lack: {', '.join(found)}" if found else ""


def refuse_absent(schema: Schema, dataset: Dataset, allowed: Sequence[str]) -> None:
    """Raise `DatasetError` where a folder lacks a column that a model reads, unless its name is `allowed`; or has text
    where the model reads numbers."""
    refuse_text(schema, dataset)
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
    log, columns = log_features_of(schema), log_columns_of(dataset)
    return {
        ITEMS: [feature.column for feature in schema.item if feature.column not in items],
        USERS: [feature.column for feature in schema.user if feature.column not in users],
        INTERACTIONS: [feature.column for feature in log if feature.column not in columns],
    }


def refuse_text(schema: Schema, dataset: Dataset) -> None:
    """Raise `DatasetError` where a model reads numbers of a column that holds text."""
    tables = (
        (ITEMS, schema.item, dataset.item_columns),
        (USERS, schema.user, dataset.user_columns),
        (INTERACTIONS, log_features_of(schema), log_columns_of(dataset)),
    )
    for table, features, columns in tables:
        for feature in features:
            if feature.column in columns and not feature.suits(columns[feature.column]):
                raise DatasetError(
                    f"{dataset.folder / table}, column `{feature.column}`: holds text, where the model reads numbers"
                )
