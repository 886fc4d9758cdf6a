"""Baselines without a network, on clicks that follow the colour of the previous click."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from planted import COLOURS, ITEMS, write_clicks
from plugrank_training.config import Config
from plugrank_training.data.catalog import item_features, make_catalog, user_features
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import make_split
from plugrank_training.evaluate.metrics import auc
from plugrank_training.fit.baseline_inputs import BaselineInputs
from plugrank_training.fit.baselines import BASELINES, cooccurrence
from plugrank_training.fit.cooccurrence import DECAYS, Cooccurrence
from plugrank_training.models.schema import Schema


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> BaselineInputs:
    dataset = Dataset.load(write_clicks(tmp_path_factory.mktemp("clicks") / "set"))
    split = make_split(dataset, "warm")
    items, users = (make(dataset, split.train, Config()) for make in (item_features, user_features))
    colours = np.eye(len(COLOURS), dtype=np.float32)[np.arange(ITEMS) % len(COLOURS)]
    schema = Schema(items, users, (("text", len(COLOURS)),), 50, 0)
    catalog = make_catalog(dataset, schema, [colours], torch.ones(ITEMS, 1))
    return BaselineInputs(dataset, split, HistoryIndex(dataset, 50, 0), catalog)


def quality(inputs: BaselineInputs, name: str) -> float:
    return auc(inputs.split.test.label, BASELINES[name](inputs)[1])


def test_cooccurrence_predicts_the_next_click(inputs: BaselineInputs) -> None:
    assert quality(inputs, "popularity") == 0.5
    assert quality(inputs, "cooccurrence") > 0.65
    assert quality(inputs, "content") > 0.8
    assert quality(inputs, "cooccurrence-content") > 0.8


def test_the_fitted_decay_favours_recent_clicks(inputs: BaselineInputs) -> None:
    found = Cooccurrence(inputs)
    assert DECAYS[found.decay] < 32
    made = found.columns(inputs.split.valid)
    each = [auc(inputs.split.valid.label, made[:, place]) for place in range(len(DECAYS))]
    assert each[found.decay] == max(each) > each[-1]


def test_scores_are_weighted_means_over_the_clicks(inputs: BaselineInputs) -> None:
    found, part = Cooccurrence(inputs), inputs.split.test.take(np.arange(0, len(inputs.split.test), 40))
    logits = cooccurrence(inputs)[1][::40]
    data, decay = inputs.dataset, DECAYS[found.decay]
    for row in range(len(part)):
        before = (data.user == part.user[row]) & (data.timestamp < part.timestamp[row])
        newest_first = data.item[before][np.argsort(-data.timestamp[before])][:50]
        weights = np.exp(-np.arange(len(newest_first)) / decay)
        similar = found.table[newest_first, part.item[row]]
        assert np.isclose(logits[row], (weights * similar).sum() / (weights.sum() + 1.0))
