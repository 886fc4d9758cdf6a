"""Models without a network, on clicks that follow the colour of the click before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from planted import COLOURS, ITEMS, write_clicks
from plugrank_training.bar_inputs import Bar
from plugrank_training.bars import BARS, cooccurrence
from plugrank_training.catalog import item_features, make_catalog, user_features
from plugrank_training.config import Config
from plugrank_training.cooccurrence import DECAYS, Cooccurrence
from plugrank_training.dataset import Dataset
from plugrank_training.graphs import Schema
from plugrank_training.history import HistoryIndex
from plugrank_training.metrics import auc
from plugrank_training.splits import make_split


@pytest.fixture(scope="module")
def bar(tmp_path_factory: pytest.TempPathFactory) -> Bar:
    dataset = Dataset.load(write_clicks(tmp_path_factory.mktemp("clicks") / "set"))
    split = make_split(dataset, "warm")
    items, users = (make(dataset, split.train, Config()) for make in (item_features, user_features))
    colours = np.eye(len(COLOURS), dtype=np.float32)[np.arange(ITEMS) % len(COLOURS)]
    schema = Schema(items, users, (("text", len(COLOURS)),), 50, 0)
    catalog = make_catalog(dataset, schema, [colours], torch.ones(ITEMS, 1))
    return Bar(dataset, split, HistoryIndex(dataset, 50, 0), catalog)


def quality(bar: Bar, name: str) -> float:
    return auc(bar.split.test.label, BARS[name](bar)[1])


def test_what_is_clicked_close_together_tells_the_next_click(bar: Bar) -> None:
    assert quality(bar, "popularity") == 0.5
    assert quality(bar, "cooccurrence") > 0.65
    assert quality(bar, "content") > 0.8
    assert quality(bar, "cooccurrence-content") > 0.8


def test_the_newest_clicks_are_found_to_weigh_most(bar: Bar) -> None:
    found = Cooccurrence(bar)
    assert DECAYS[found.decay] < 32
    made = found.columns(bar.split.valid)
    each = [auc(bar.split.valid.label, made[:, place]) for place in range(len(DECAYS))]
    assert each[found.decay] == max(each) > each[-1]


def test_scores_are_weighted_means_over_the_clicks(bar: Bar) -> None:
    found, part = Cooccurrence(bar), bar.split.test.take(np.arange(0, len(bar.split.test), 40))
    logits = cooccurrence(bar)[1][::40]
    data, decay = bar.dataset, DECAYS[found.decay]
    for row in range(len(part)):
        before = (data.user == part.user[row]) & (data.timestamp < part.timestamp[row])
        newest_first = data.item[before][np.argsort(-data.timestamp[before])][:50]
        weights = np.exp(-np.arange(len(newest_first)) / decay)
        similar = found.table[newest_first, part.item[row]]
        assert np.isclose(logits[row], (weights * similar).sum() / (weights.sum() + 1.0))
