"""Models without a network that a network has to beat: popularity, running means, co-occurrence, content.

Each gives logits of the validation and of the test part; what it has to choose, it chooses on validation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import Split
from plugrank_training.evaluate.metrics import auc
from plugrank_training.fit.baseline_inputs import BaselineInputs, Logits, histories, recency_weights
from plugrank_training.fit.cooccurrence import Cooccurrence

# Raise when baselines give other results: stored ones are then not reused.
BASELINES_VERSION = 2
# Rows worth of "like everybody" that a rate starts from.
SHRINK = 10.0
# Rows that a linear model is fitted on; more change nothing.
FITTED = 100_000
# Time constants, in history entries, of the means of similarity; the last weighs all alike.
SIMILARITY_DECAYS = (3.0, 10.0, 1e9)


def log_odds(rate: np.ndarray) -> np.ndarray:
    """ln(p / (1 - p))."""
    return np.log(rate) - np.log1p(-rate)


def popularity(inputs: BaselineInputs) -> Logits:
    """The item's training click rate; its number of clicks where negatives are matched and rates say nothing."""
    train, items = inputs.split.train, len(inputs.dataset.item_ids)
    clicks = np.bincount(train.item, train.label, minlength=items)
    shown = np.bincount(train.item, minlength=items)
    if inputs.dataset.meta.negatives == "matched":
        score = np.log1p(clicks)
    else:
        score = log_odds((clicks + SHRINK * train.label.mean()) / (shown + SHRINK))
    return score[inputs.split.valid.item], score[inputs.split.test.item]


def means(inputs: BaselineInputs) -> Logits:
    """Running click rates of user and item, of everything strictly before the impression, in a logistic regression.

    Raises `ValueError` where negatives are matched: there every rate is the same.
    """
    if inputs.dataset.meta.negatives == "matched":
        raise ValueError("model `means` needs logged negatives")
    by_user = HistoryIndex(inputs.dataset, 1, 1, inputs.split.exclude_items)
    by_item = HistoryIndex.by_item(inputs.dataset, inputs.split.exclude_items)
    base = inputs.split.train.label.mean()

    def features(part: Examples) -> np.ndarray:
        columns = []
        for index, key, shrink in ((by_user, part.user, 5.0), (by_item, part.item, SHRINK)):
            shown, clicks = index.counts(key, part.timestamp)
            columns += [log_odds((clicks + shrink * base) / (shown + shrink)), np.log1p(shown)]
        return np.stack(columns, axis=1)

    return linear(inputs.split, features)


def cooccurrence(inputs: BaselineInputs) -> Logits:
    """Item-item co-occurrence with what the user clicked, see `cooccurrence.py`."""
    found = Cooccurrence(inputs)
    valid, test = (found.columns(part)[:, found.decay] for part in (inputs.split.valid, inputs.split.test))
    return valid, test


def content(inputs: BaselineInputs) -> Logits:
    """Linear in the item's categories and columns, and in how like clicked and refused items it is.

    Similarity is the mean cosine in each content space (each categorical column, text, image), of the newest entries
    and of all.
    """
    spaces = content_spaces(inputs)

    def features(part: Examples) -> np.ndarray:
        blocks = [similarity(inputs.history, part, space) for space in spaces.values()]
        own = [space[part.item] for name, space in spaces.items() if name.startswith("column ")]
        return np.concatenate([*blocks, *own], axis=1)

    return linear(inputs.split, features)


def content_spaces(inputs: BaselineInputs) -> dict[str, np.ndarray]:
    """Unit vectors of all items (zeros where there is nothing), f32 `[items, d]`, by name."""
    made: dict[str, np.ndarray] = {}
    for feature in inputs.catalog.schema.item:
        if feature.name == "item_id" or feature.is_number or feature.size > 500:
            continue
        ids = inputs.catalog.item_ids[feature.name].numpy().reshape(len(inputs.dataset.item_ids), -1)
        space = np.zeros((len(ids), feature.size), dtype=np.float32)
        np.put_along_axis(space, ids, 1.0, axis=1)
        space[:, 0] = 0.0
        made[f"column {feature.name}"] = space
    for number, (name, _) in enumerate(inputs.catalog.schema.parts):
        vectors = inputs.catalog.modal.parts[number]
        there = inputs.catalog.present[:, number : number + 1].numpy()
        made[name] = (vectors - vectors[there[:, 0] > 0].mean(axis=0)) * there
    return {k: v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-6) for k, v in made.items()}


def similarity(index: HistoryIndex, part: Examples, space: np.ndarray) -> np.ndarray:
    """Mean cosine with clicked entries and with refused ones, for each decay; f64 `[n, 2 * decays]`."""
    made = []
    for rows, past in histories(index, part):
        cosine = np.einsum("bld,bd->bl", space[np.maximum(past.items, 0)], space[part.item[rows]])
        sides = []
        for label in (1, 0):
            for decay in SIMILARITY_DECAYS:
                weight = recency_weights(past, label, decay)
                sides.append((cosine * weight).sum(axis=1) / (weight.sum(axis=1) + 1.0))
        made.append(np.stack(sides, axis=1))
    return np.concatenate(made) if made else np.zeros((0, 2 * len(SIMILARITY_DECAYS)))


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


def cooccurrence_content(inputs: BaselineInputs) -> Logits:
    """Both together: a weight for content and one for co-occurrence with each decay.

    They are fitted on validation, for on training rows a co-occurrence has counted itself.
    """
    found, told = Cooccurrence(inputs), content(inputs)
    parts = (inputs.split.valid, inputs.split.test)
    valid, test = (np.column_stack([found.columns(part), logits]) for part, logits in zip(parts, told, strict=True))
    mean, deviation = valid.mean(axis=0), valid.std(axis=0) + 1e-6
    model = LogisticRegression(max_iter=500).fit((valid - mean) / deviation, inputs.split.valid.label)
    return model.decision_function((valid - mean) / deviation), model.decision_function((test - mean) / deviation)


BASELINES: dict[str, Callable[[BaselineInputs], Logits]] = {
    "popularity": popularity,
    "means": means,
    "cooccurrence": cooccurrence,
    "content": content,
    "cooccurrence-content": cooccurrence_content,
}
