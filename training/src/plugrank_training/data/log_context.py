"""What the log says of requests and, for each candidate, of impressions: features beside those of items and users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.examples import Examples
from plugrank_training.data.feature_rules import learn_columns, observe
from plugrank_training.data.raw_column import RawColumn, Words
from plugrank_training.feature_config import ColumnConfig, FeaturesConfig
from plugrank_training.models.features import DERIVED, Encoder, Feature
from plugrank_training.models.schema import Schema

Features = tuple[Feature, ...]
Arrays = dict[str, np.ndarray]


def log_features(dataset: Dataset, train: Examples, config: FeaturesConfig) -> tuple[Features, Features]:
    """Features of the request, and those given for each candidate, of the interactions' further columns.

    Raises `DatasetError` where the configuration does not fit the data.
    """
    rows = request_rows(train)
    made = learn_columns("interactions", dataset.log_columns, config.interactions, rows, rows) if len(rows) else []
    made = [replace(one, observed=observe(one, dataset.log_columns[one.column], rows)) for one in made]
    given = [name for name, column in config.interactions.items() if column.candidate]
    candidate = tuple(one for one in made if one.column in given)
    request = tuple(one for one in made if one.column not in given)
    if candidate and dataset.meta.negatives == "matched":
        raise DatasetError(
            f"features.interactions.{candidate[0].column}.candidate: `{dataset.meta.name}` has only clicks; what is "
            "given for a candidate would tell them from the negatives that training draws"
        )
    if config.derive and dataset.meta.time != "ms":
        raise DatasetError(f"features.derive: `{dataset.meta.name}` has no real times, only an order")
    return request + tuple(derived_feature(name) for name in config.derive), candidate


def past_features(dataset: Dataset, train: Examples, config: FeaturesConfig) -> Features:
    """What is read of each entry of a history: its action, a category, and its value, a number.

    Raises `DatasetError` where the configuration does not fit the data.
    """
    rows = request_rows(train)
    kinds = {"action": "category", "value": "number"}
    strange = [name for name, column in config.history.items() if column.kind not in ("auto", "none", kinds.get(name))]
    if strange:
        raise DatasetError(f"features.history.{strange[0]}.kind: an action is a category, a value is a number")
    configured = dict(config.history)
    for name in dataset.past_columns:
        column = configured.get(name, ColumnConfig())
        configured[name] = replace(column, kind=kinds[name] if column.kind == "auto" else column.kind, length=1)
    made = learn_columns("history", dataset.past_columns, configured, rows, rows) if len(rows) else []
    return tuple(replace(one, observed=observe(one, dataset.past_columns[one.column], rows)) for one in made)


def derived_feature(name: str) -> Feature:
    """`hour` or `weekday` of the request."""
    return replace(Feature.of(name, DERIVED[name]), derive=name)


def request_rows(examples: Examples) -> np.ndarray:
    """Rows of the log that examples are of, those that were drawn left out; none where examples do not know them."""
    if examples.row is None:
        return np.zeros(0, dtype=np.int64)
    return examples.row[examples.row >= 0]


def request_keys(dataset: Dataset, config: FeaturesConfig) -> np.ndarray | None:
    """A number for each row of the log that tells requests of different features apart, uint64; None without any.

    Impressions of one user and time are one request unless these differ.
    """
    names = [name for name, column in config.interactions.items() if column.candidate or column.kind == "none"]
    columns = [column for name, column in dataset.log_columns.items() if name not in names]
    if not columns:
        return None
    keys = np.zeros(dataset.rows, dtype=np.uint64)
    for column in columns:
        values = bits_of(column)
        for part in values.reshape(dataset.rows, -1).T:
            # Each part moves all bits of what was there.
            keys = (keys ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
    return keys


def bits_of(column: RawColumn) -> np.ndarray:
    """A whole number for each value of a column, int32, equal for equal ones."""
    return column.codes if isinstance(column, Words) else column.values.astype(np.float32).view(np.int32)


@dataclass(frozen=True)
class LogContext:
    """Encodes the features of rows of the log when a batch reads them."""

    schema: Schema
    # By name of the feature; a column that the log lacks has none.
    encoders: Mapping[str, Encoder]
    # Those of actions and values.
    past_encoders: Mapping[str, Encoder]
    has_times: bool

    @classmethod
    def of(cls, schema: Schema, dataset: Dataset) -> LogContext | None:
        """Of a data set; None where a model reads nothing of requests and candidates."""
        features = (*schema.request, *schema.candidate)
        if not features and not schema.history:
            return None
        columns, past = dataset.log_columns, dataset.past_columns
        found = {one.name: one.encoder(columns[one.column]) for one in features if one.column in columns}
        told = {one.name: one.encoder(past[one.column]) for one in schema.history if one.column in past}
        return cls(schema, found, told, dataset.meta.time == "ms")

    def requests(self, rows: np.ndarray, times: np.ndarray) -> Arrays:
        """Features of requests; `rows` of the log are -1 where the log does not have the request. `[n(, length)]`"""
        made = self.rows(self.schema.request, self.encoders, rows)
        for feature in self.schema.request:
            if feature.derive and self.has_times:
                made[feature.name] = feature.derived(times, self.schema.timezone)
        return made

    def candidates(self, rows: np.ndarray) -> Arrays:
        """What is given for candidates; `rows` of any shape are -1 where nothing is. `[...(, length)]`"""
        return self.shaped(self.schema.candidate, self.encoders, rows)

    def past(self, rows: np.ndarray | None, shape: tuple[int, ...]) -> Arrays:
        """Actions and values of histories' entries; `rows` `[...]` are -1 where there is none, None for none at all."""
        known = np.full(shape, -1) if rows is None else rows
        return self.shaped(self.schema.history, self.past_encoders, known)

    def shaped(self, features: Sequence[Feature], encoders: Mapping[str, Encoder], rows: np.ndarray) -> Arrays:
        """Features of rows of the log of any shape, `[...(, length)]`."""
        found = self.rows(features, encoders, rows.ravel())
        return {name: values.reshape(*rows.shape, *values.shape[1:]) for name, values in found.items()}

    def rows(self, features: Sequence[Feature], encoders: Mapping[str, Encoder], rows: np.ndarray) -> Arrays:
        """Features of rows of the log."""
        there = rows >= 0
        made = {}
        for feature in features:
            values = feature.nothing((len(rows),))
            if feature.name in encoders and there.any():
                values[there] = encoders[feature.name](rows[there])
            made[feature.name] = values
        return made
