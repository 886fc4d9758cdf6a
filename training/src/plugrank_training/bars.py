"""Models without a network that a network has to beat: popularity, running means, co-occurrence, content.

Each gives logits of the validation and of the test part; what it has to choose, it chooses on validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from plugrank_training.catalog import Catalog
from plugrank_training.dataset import Dataset
from plugrank_training.examples import Examples
from plugrank_training.history import HistoryBatch, HistoryIndex
from plugrank_training.metrics import auc
from plugrank_training.splits import Split

# Rows worth of "like everybody" that a rate starts from.
SHRINK = 10.0
# Rows that a linear model is fitted on; more change nothing.
FITTED = 100_000
CHUNK = 4096


@dataclass(frozen=True)
class Bar:
    """What a bar reads."""

    dataset: Dataset
    split: Split
    history: HistoryIndex
    catalog: Catalog


Logits = tuple[np.ndarray, np.ndarray]


def log_odds(rate: np.ndarray) -> np.ndarray:
    """ln(p / (1 - p))."""
    return np.log(rate) - np.log1p(-rate)


def popularity(bar: Bar) -> Logits:
    """The item's training click rate; its number of clicks where negatives are matched and rates say nothing."""
    train, items = bar.split.train, len(bar.dataset.item_ids)
    clicks = np.bincount(train.item, train.label, minlength=items)
    shown = np.bincount(train.item, minlength=items)
    if bar.dataset.meta.negatives == "matched":
        score = np.log1p(clicks)
    else:
        score = log_odds((clicks + SHRINK * train.label.mean()) / (shown + SHRINK))
    return score[bar.split.valid.item], score[bar.split.test.item]


def means(bar: Bar) -> Logits:
    """Running click rates of user and item, of everything strictly before the impression, in a logistic regression.

    Raises `ValueError` where negatives are matched: there every rate is the same.
    """
    if bar.dataset.meta.negatives == "matched":
        raise ValueError("model `means` needs logged negatives")
    by_user = HistoryIndex(bar.dataset, 1, 1, bar.split.exclude_items)
    by_item = HistoryIndex.by_item(bar.dataset, bar.split.exclude_items)
    base = bar.split.train.label.mean()

    def features(part: Examples) -> np.ndarray:
        columns = []
        for index, key, shrink in ((by_user, part.user, 5.0), (by_item, part.item, SHRINK)):
            shown, clicks = index.counts(key, part.timestamp)
            columns += [log_odds((clicks + shrink * base) / (shown + shrink)), np.log1p(shown)]
        return np.stack(columns, axis=1)

    return linear(bar.split, features)


def cooccurrence(bar: Bar) -> Logits:
    """How often training users clicked the candidate and what this user clicked: Item-item collaborative filtering.

    The counts are divided by powers of both items' clicks, and the newest clicks may weigh more; the best of a few
    such choices on validation.
    """
    best, chosen = -1.0, (np.zeros(0), np.zeros(0))
    counts = pair_counts(bar)
    clicks = np.maximum(np.asarray(counts.diagonal(), dtype=np.float64), 1.0)
    counts = counts - sparse.diags(np.asarray(counts.diagonal()))
    for power in (0.5, 0.75):
        scale = sparse.diags(clicks**-power)
        similar = (scale @ counts @ scale).tocsr().astype(np.float32)
        table = similar.toarray() if similar.shape[0] <= 6000 else similar
        for decay in (0.0, 0.5):
            valid = similarity(bar, bar.split.valid, table, decay)
            quality = auc(bar.split.valid.label, valid)
            if quality > best:
                best, chosen = quality, (valid, similarity(bar, bar.split.test, table, decay))
    return chosen


def pair_counts(bar: Bar) -> sparse.csr_matrix:
    """Users of the training part that clicked both items, `[items, items]`; on the diagonal, one of them."""
    train = bar.split.train
    clicked = train.label == 1
    users, items = len(bar.dataset.user_ids), len(bar.dataset.item_ids)
    ones = np.ones(int(clicked.sum()), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, (train.user[clicked], train.item[clicked])), shape=(users, items))
    matrix.data[:] = 1.0
    return (matrix.T @ matrix).tocsr()


def similarity(bar: Bar, part: Examples, table: np.ndarray | sparse.csr_matrix, decay: float) -> np.ndarray:
    """ln(eps + sum over clicked history of `table[entry, candidate] / (place + 1)^decay`), f64 `[n]`."""
    made = []
    for rows, past in histories(bar.history, part):
        entries, candidates = np.maximum(past.items, 0), part.item[rows][:, None]
        entries, candidates = np.broadcast_arrays(entries, candidates)
        found = np.asarray(table[entries.ravel(), candidates.ravel()]).reshape(entries.shape)
        weight = past.mask * past.labels * (np.arange(entries.shape[1]) + 1.0) ** -decay
        made.append((found * weight).sum(axis=1))
    return np.log(np.concatenate(made) + 1e-4)


def histories(index: HistoryIndex, part: Examples) -> Iterator[tuple[np.ndarray, HistoryBatch]]:
    """Rows of a part, some at a time, with their histories."""
    for start in range(0, len(part), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(part)))
        yield rows, index.gather(part.user[rows], part.timestamp[rows])


def content(bar: Bar) -> Logits:
    """Linear in the item's categories and columns, and in how like clicked and refused items it is.

    Likeness is the mean cosine in each content space: each categorical column, text, image.
    """
    spaces = content_spaces(bar)

    def features(part: Examples) -> np.ndarray:
        blocks = [likeness(bar.history, part, space) for space in spaces.values()]
        own = [space[part.item] for name, space in spaces.items() if name.startswith("column ")]
        return np.concatenate([*blocks, *own], axis=1)

    return linear(bar.split, features)


def content_spaces(bar: Bar) -> dict[str, np.ndarray]:
    """Unit vectors of all items (zeros where there is nothing), f32 `[items, d]`, by name."""
    made: dict[str, np.ndarray] = {}
    for feature in bar.catalog.schema.item:
        if feature.name == "item_id" or feature.size > 500:
            continue
        ids = bar.catalog.item_ids[feature.name].numpy().reshape(len(bar.dataset.item_ids), -1)
        space = np.zeros((len(ids), feature.size), dtype=np.float32)
        np.put_along_axis(space, ids, 1.0, axis=1)
        space[:, 0] = 0.0
        made[f"column {feature.name}"] = space
    for number, (name, _) in enumerate(bar.catalog.schema.parts):
        vectors = bar.catalog.modal.parts[number]
        there = bar.catalog.present[:, number : number + 1].numpy()
        made[name] = (vectors - vectors[there[:, 0] > 0].mean(axis=0)) * there
    return {k: v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-6) for k, v in made.items()}


def likeness(index: HistoryIndex, part: Examples, space: np.ndarray) -> np.ndarray:
    """Mean cosine with clicked entries, with refused ones, f64 `[n, 2]`."""
    made = []
    for rows, past in histories(index, part):
        cosine = np.einsum("bld,bd->bl", space[np.maximum(past.items, 0)], space[part.item[rows]])
        sides = []
        for label in (1, 0):
            weight = past.mask * (past.labels == label)
            sides.append((cosine * weight).sum(axis=1) / (weight.sum(axis=1) + 1.0))
        made.append(np.stack(sides, axis=1))
    return np.concatenate(made) if made else np.zeros((0, 2))


def linear(split: Split, features: Callable[[Examples], np.ndarray]) -> Logits:
    """Logistic regression on the newest training rows, its strength of regularisation chosen on validation."""
    train = split.train.take(np.arange(max(0, len(split.train) - FITTED), len(split.train)))
    rows, valid, test = features(train), features(split.valid), features(split.test)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    rows, valid, test = ((part - mean) / deviation for part in (rows, valid, test))
    best, chosen = -1.0, (np.zeros(0), np.zeros(0))
    for strength in (1e-3, 1e-2, 1e-1):
        model = LogisticRegression(C=strength, max_iter=500).fit(rows, train.label)
        found = model.decision_function(valid)
        quality = auc(split.valid.label, found)
        if quality > best:
            best, chosen = quality, (found, model.decision_function(test))
    return chosen


def cooccurrence_content(bar: Bar) -> Logits:
    """Both together: two weights fitted on validation, for on training rows a co-occurrence has counted itself."""
    sides = [np.stack(pair, axis=1) for pair in zip(cooccurrence(bar), content(bar), strict=True)]
    model = LogisticRegression().fit(sides[0], bar.split.valid.label)
    return model.decision_function(sides[0]), model.decision_function(sides[1])


BARS: dict[str, Callable[[Bar], Logits]] = {
    "popularity": popularity,
    "means": means,
    "cooccurrence": cooccurrence,
    "content": content,
    "cooccurrence-content": cooccurrence_content,
}
