"""What a column becomes where the configuration does not say, and what is learned of it from the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from plugrank_training.data.dataset_error import DatasetError
from plugrank_training.data.raw_column import RawColumn, Words, words_of
from plugrank_training.feature_config import ColumnConfig
from plugrank_training.models.feature_embeddings import PIECES
from plugrank_training.models.features import OTHER, Feature, Observed, by_count
from plugrank_training.models.transforms import Transform

# Whole numbers with at most so many distinct training values are categories.
FEW = 32
# A number whose training values are more skewed than this is read by its logarithm.
SKEWED = 2.0
# Of automatic lengths of lists: the share of rows that are read whole, and the longest.
WHOLE_SHARE, LONGEST_AUTO = 0.95, 16
# Training rows that quantiles, means and deviations are taken of at most, evenly spread.
SAMPLED = 1 << 20


def learn_columns(
    table: str,
    columns: Mapping[str, RawColumn],
    configured: Mapping[str, ColumnConfig],
    train: np.ndarray,
    counted: np.ndarray | slice = slice(None),
) -> list[Feature]:
    """A feature of every column that is to be read, in the order of the table.

    `train`: rows of the columns that training reads, each once, of which numbers are learned. `counted`: rows of
    which vocabularies are made. Raises `DatasetError` where the configuration does not fit the data.
    """
    unknown = [name for name in configured if name not in columns]
    if unknown:
        known = ", ".join(columns) or "none"
        raise DatasetError(f"features.{table}.{unknown[0]}: {table} have no such column with values; found: {known}")
    made = []
    for name, column in columns.items():
        options = configured.get(name, ColumnConfig())
        if options.kind != "none":
            made.append(learn_feature(f"features.{table}.{name}", name, column, options, train, counted))
    return made


def learn_feature(
    key: str, name: str, column: RawColumn, options: ColumnConfig, train: np.ndarray, counted: np.ndarray | slice
) -> Feature:
    """One column's feature, see `learn_columns`."""
    kind = options.kind if options.kind != "auto" else automatic_kind(column, train)
    if kind == "number" and isinstance(column, Words):
        raise DatasetError(f"{key}.kind: the column holds text or whole numbers beyond 2^53, which are no numbers")
    length = options.length or automatic_length(column, train)
    if kind == "category" or isinstance(column, Words):
        words = words_of(column)
        return Feature.of(name, by_count(words.words, words.counts(counted).tolist(), at_least=2), length)
    values = np.sort(spread(column.known(train)).astype(np.float32).astype(np.float64))
    transform = learn_transform(options, values)
    made = Feature.number(name, transform, length, options.missing if transform.kind != "buckets" else 0.0)
    if made.is_number and len(values):
        corners = np.quantile(transform.numbers(values), np.linspace(0.0, 1.0, PIECES + 1), method="nearest")
        made = replace(made, corners=tuple(np.unique(corners).tolist()))
    return made


def automatic_kind(column: RawColumn, train: np.ndarray) -> str:
    """Text and bools are categories, as are whole numbers of few distinct values; others are numbers."""
    if isinstance(column, Words):
        return "category"
    values = column.known(train)
    if not np.equal(np.floor(values), values).all():
        return "number"
    return "category" if len(np.unique(values)) <= FEW else "number"


def automatic_length(column: RawColumn, train: np.ndarray) -> int:
    """One, or of lists what `WHOLE_SHARE` of the rows need."""
    if not column.lists:
        return 1
    lengths = column.lengths(train)
    needed = np.quantile(lengths, WHOLE_SHARE, method="higher") if len(lengths) else 1
    return int(np.clip(needed, 1, min(LONGEST_AUTO, column.width)))


def spread(values: np.ndarray) -> np.ndarray:
    """At most `SAMPLED` of the values, evenly spread."""
    return values if len(values) <= SAMPLED else values[:: -(-len(values) // SAMPLED)]


def learn_transform(options: ColumnConfig, values: np.ndarray) -> Transform:
    """The transform with its numbers, of ascending training values."""
    kind = options.transform
    deviation = float(values.std()) if len(values) else 0.0
    if kind == "auto":
        kind = "log1p" if deviation > 0 and abs(skewness(values)) > SKEWED else "standard"
    if kind == "standard":
        # Equal values cannot be scaled to a deviation of 1.
        return Transform("standard", float(values.mean()), deviation) if deviation > 0 else Transform("none")
    if kind == "buckets":
        inner = np.linspace(0.0, 1.0, options.buckets + 1)[1:-1]
        bounds = np.unique(np.quantile(values, inner, method="nearest")) if len(values) else np.zeros(1)
        return Transform("buckets", bounds=tuple(bounds.tolist()))
    return Transform(kind)


def skewness(values: np.ndarray) -> float:
    """The third standardised moment."""
    centred = values - values.mean()
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5)


def observe(feature: Feature, column: RawColumn, rows: np.ndarray, weights: np.ndarray | None = None) -> Observed:
    """Shares of rows (by place) without a value and with one that the vocabulary lacks; `weights` count rows."""
    if not len(rows):
        return Observed(0.0, 0.0)
    missing = np.average(column.missing(rows), weights=weights)
    if feature.transform is not None:
        return Observed(float(missing), 0.0)
    ids = feature.encoder(column)(rows).reshape(len(rows), -1)
    return Observed(float(missing), float(np.average((ids == OTHER).any(axis=1), weights=weights)))
