"""Facts of the real MovieLens data, where it is available (`PLUGRANK_SHARED_DATA`, or `../shared/data`)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from plugrank_training.data.adapters.layouts import convert
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import make_split
from plugrank_training.evaluate import metrics

REPOSITORY = Path(__file__).parents[2]


def data_folder(name: str) -> Path:
    """The source; skips the test where it is not available."""
    given = os.environ.get("PLUGRANK_SHARED_DATA")
    folder = (Path(given) if given else REPOSITORY.parent / "shared" / "data") / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not available: set PLUGRANK_SHARED_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="module")
def ml_100k(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("data") / "movielens-100k"
    convert(data_folder("movielens-100k"), out, progress=False)
    return Dataset.load(out)


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("data") / "movielens-1m-sequences"
    convert(data_folder("movielens-1m-sequences"), out, progress=False)
    return Dataset.load(out)


def test_100k_counts(ml_100k: Dataset) -> None:
    assert (ml_100k.rows, len(ml_100k.user_ids), len(ml_100k.item_ids)) == (100_000, 943, 1682)
    assert ml_100k.user_ids == [str(number) for number in range(1, 944)]
    assert ml_100k.label.mean() == pytest.approx(0.55375)
    assert sum(image is not None for image in ml_100k.images) == 1398
    assert sum("Directed by" in text for text in ml_100k.texts) > 1500
    pair = ml_100k.user.astype(np.int64) << 40 | ml_100k.timestamp // 1000
    shared = np.unique(pair, return_counts=True, return_inverse=True)
    assert (shared[2][shared[1]] > 1).mean() == pytest.approx(0.758, abs=0.0005)


def test_100k_global_split_meets_unseen_users(ml_100k: Dataset) -> None:
    split = make_split(ml_100k, "global")
    assert split.train.timestamp.max() < ml_100k.timestamp[80_000] <= split.valid.timestamp.min()
    assert split.valid.timestamp.max() < ml_100k.timestamp[90_000] <= split.test.timestamp.min()
    assert len(split.test) == 10_000
    assert (~np.isin(split.test.user, split.train.user)).sum() == 8582


def test_100k_popularity(ml_100k: Dataset) -> None:
    split = make_split(ml_100k, "global")
    count = len(ml_100k.item_ids)
    clicks = np.bincount(split.train.item, split.train.label, count)
    shown = np.bincount(split.train.item, minlength=count)
    # Click rate of the training part, drawn to its mean as if by ten more impressions.
    popularity = ((clicks + 10 * split.train.label.mean()) / (shown + 10))[split.test.item]
    assert metrics.auc(split.test.label, popularity) == pytest.approx(0.7049, abs=5e-5)
    assert metrics.gauc(split.test.user, split.test.label, popularity) == pytest.approx(0.7092, abs=5e-5)


def test_100k_running_means_of_the_history_beat_popularity(ml_100k: Dataset) -> None:
    """Past negatives are what makes the history tell: 0.739 by two running means alone."""
    split = make_split(ml_100k, "global")
    test = split.test
    past = HistoryIndex(ml_100k, 10_000, 10_000).gather(test.user, test.timestamp)
    user_mean = (past.labels.sum(axis=1) + 5 * 0.55) / (past.mask.sum(axis=1) + 5)
    order = np.lexsort((ml_100k.timestamp, ml_100k.item))
    key = ml_100k.item[order].astype(np.int64) * 2**41 + ml_100k.timestamp[order]
    clicks = np.concatenate([[0], np.cumsum(ml_100k.label[order])])
    start = np.searchsorted(ml_100k.item[order], test.item)
    end = np.searchsorted(key, test.item.astype(np.int64) * 2**41 + test.timestamp)
    item_mean = (clicks[end] - clicks[start] + 5 * 0.55) / (end - start + 5)
    logit = np.log(user_mean / (1 - user_mean)) + np.log(item_mean / (1 - item_mean))
    assert metrics.auc(test.label, logit) == pytest.approx(0.739, abs=0.003)


def test_sequences_counts_and_matched_negatives(sequences: Dataset) -> None:
    assert (sequences.rows, len(sequences.user_ids), len(sequences.item_ids)) == (1_000_209, 6040, 3883)
    assert sequences.label.all()
    split = make_split(sequences, "warm")
    total = sum(int(part.label.sum()) for part in (split.train, split.valid, split.test))
    assert total == 1_000_209 - 5 * 6040
    test = split.test
    clicks = np.bincount(test.item, test.label, len(sequences.item_ids))
    assert np.array_equal(clicks, np.bincount(test.item, 1 - test.label, len(sequences.item_ids)))
    popularity = np.bincount(split.train.item, split.train.label, len(sequences.item_ids))
    assert metrics.auc(test.label, popularity[test.item]) == pytest.approx(0.5)
