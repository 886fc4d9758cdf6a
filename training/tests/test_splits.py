"""Properties of every split."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.negatives import Seen, match_negatives
from plugrank_training.data.splits import FOLDS, Split, default_split, item_folds, make_split
from shops import random_dataset


def logged(seed: int = 5) -> Dataset:
    return random_dataset(seed, rows=900)


def matched(seed: int = 5) -> Dataset:
    return random_dataset(seed, users=40, items=120, rows=1200, time="order", negatives="matched")


def parts(split: Split) -> tuple[Examples, Examples, Examples]:
    return split.train, split.valid, split.test


def as_rows(part: Examples) -> list[tuple[int, int, int, int]]:
    return list(zip(*(a.tolist() for a in (part.user, part.item, part.timestamp, part.label)), strict=True))


def assert_sorted(dataset: Dataset, part: Examples) -> None:
    keys = (dataset.item_rank[part.item], dataset.user_rank[part.user], part.timestamp)
    assert np.array_equal(np.lexsort(keys), np.arange(len(part)))


@pytest.mark.parametrize("name", ["global", "time"])
def test_time_cuts_keep_every_row_and_divide_no_timestamp(name: str) -> None:
    dataset = logged()
    split = make_split(dataset, name)
    train, valid, test = parts(split)
    assert train.timestamp.max() < valid.timestamp.min()
    assert valid.timestamp.max() < test.timestamp.min()
    everything = Counter(row for part in parts(split) for row in as_rows(part))
    whole = Examples.of(dataset, np.arange(dataset.rows))
    assert everything == Counter(as_rows(whole))
    for part in parts(split):
        assert_sorted(dataset, part)
    assert split.exclude_items is None


def test_global_cuts_at_the_rows_at_80_and_90_percent() -> None:
    dataset = logged()
    train, valid, test = parts(make_split(dataset, "global"))
    first, second = dataset.timestamp[720], dataset.timestamp[810]
    assert len(train) == (dataset.timestamp < first).sum()
    assert valid.timestamp.min() == first
    assert test.timestamp.min() == second


@pytest.mark.parametrize(("name", "shares"), [("peruser", (70, 80)), ("warm", (80, 90))])
def test_own_cuts_divide_no_timestamp_of_a_user(name: str, shares: tuple[int, int]) -> None:
    dataset = logged() if name == "peruser" else matched()
    split = make_split(dataset, name)
    for user in range(len(dataset.user_ids)):
        own = np.flatnonzero(dataset.user == user)
        if not len(own):
            assert not any((part.user == user).any() for part in parts(split))
            continue
        times = dataset.timestamp[own]
        moments = [times[len(own) * share // 100] for share in shares]
        train, valid, test = (part.timestamp[part.user == user] for part in parts(split))
        assert (train < moments[0]).all()
        assert ((valid >= moments[0]) & (valid < moments[1])).all()
        assert (test >= moments[1]).all()
        if name == "peruser":
            assert len(train) + len(valid) + len(test) == len(own)
        else:
            clicks = sum(int((part.label[part.user == user] == 1).sum()) for part in parts(split))
            assert clicks == max(0, len(own) - 5)


def test_folds_are_the_ranks_of_the_hashes_modulo_six() -> None:
    ids = [str(number) for number in range(100)]
    folds = item_folds(ids, "salt")
    ordered = sorted(ids, key=lambda identity: hashlib.sha256(f"salt:{identity}".encode()).hexdigest())
    assert [folds[ids.index(identity)] for identity in ordered] == [rank % 6 for rank in range(100)]
    assert sorted(Counter(folds.tolist()).values()) == [16, 16, 17, 17, 17, 17]
    assert not np.array_equal(folds, item_folds(ids, "pepper"))


@pytest.mark.parametrize("kind", ["logged", "matched"])
def test_folds_partition_the_items_and_hide_them(kind: str) -> None:
    dataset = logged() if kind == "logged" else matched()
    folds = item_folds(dataset.item_ids, "plugrank")
    tested: list[tuple[int, int, int, int]] = []
    for fold in range(FOLDS):
        split = make_split(dataset, "items", fold=fold)
        assert split.exclude_items is not None
        hidden = set(split.exclude_items.tolist())
        assert hidden == set(np.flatnonzero((folds == fold) | (folds == (fold + 1) % FOLDS)).tolist())
        assert not hidden & set(split.train.item.tolist())
        assert set(folds[split.test.item].tolist()) == {fold}
        assert set(folds[split.valid.item].tolist()) == {(fold + 1) % FOLDS}
        if kind == "logged":
            first = dataset.timestamp[dataset.rows * 8 // 10]
            assert split.train.timestamp.max() < first
            assert min(split.test.timestamp.min(), split.valid.timestamp.min()) >= first
        tested += [row for row in as_rows(split.test) if row[3] == 1 or kind == "logged"]
    assert len(set(tested)) == len(set(as_rows(late(dataset))))
    assert Counter(tested) == Counter(as_rows(late(dataset)))


def late(dataset: Dataset) -> Examples:
    """What the folds' test parts hold together: at or after T1, or each user's last 20% from the sixth on."""
    if dataset.meta.time == "ms":
        return Examples.of(dataset, np.flatnonzero(dataset.timestamp >= dataset.timestamp[dataset.rows * 8 // 10]))
    length = np.bincount(dataset.user)[dataset.user]
    return Examples.of(dataset, np.flatnonzero(dataset.timestamp >= np.maximum(length * 8 // 10, 5)))


@pytest.mark.parametrize(("name", "fold"), [("warm", None), ("items", 0), ("items", 3)])
def test_every_item_is_a_negative_as_often_as_a_positive_and_never_in_its_users_sequence(
    name: str, fold: int | None
) -> None:
    dataset = matched()
    sequence = set(zip(dataset.user.tolist(), dataset.item.tolist(), strict=True))
    for part in parts(make_split(dataset, name, fold=fold)):
        positive, negative = part.take(part.label == 1), part.take(part.label == 0)
        assert len(positive) > 10
        assert Counter(positive.item.tolist()) == Counter(negative.item.tolist())
        moments = [Counter(zip(p.user.tolist(), p.timestamp.tolist(), strict=True)) for p in (positive, negative)]
        assert moments[0] == moments[1]
        assert not sequence & set(zip(negative.user.tolist(), negative.item.tolist(), strict=True))
        assert positive.timestamp.min() >= 5
        assert_sorted(dataset, part)


def test_no_user_is_left_out_without_a_count() -> None:
    dataset = random_dataset(5, users=150, items=120, rows=700, time="order", negatives="matched")
    split = make_split(dataset, "warm")
    clicks = Counter(dataset.user.tolist())
    short = [count for count in clicks.values() if count < 6]
    assert 10 < len(short) < len(clicks)
    told = list(split.left_out.values())
    assert told[:2] == [len(short), sum(short)]
    assert told[2] == 5 * (len(clicks) - len(short))
    kept = sum(int(part.label.sum()) for part in parts(split))
    assert kept + told[1] + told[2] == dataset.rows
    assert make_split(logged(), "global").left_out == {}


def test_splits_are_deterministic_and_the_seed_changes_negatives_only() -> None:
    dataset = matched()
    first, again, other = (make_split(dataset, "warm", seed=seed) for seed in (0, 0, 1))
    assert as_rows(first.train) == as_rows(again.train)
    assert as_rows(first.train) != as_rows(other.train)
    clicks = [as_rows(split.train.take(split.train.label == 1)) for split in (first, other)]
    assert clicks[0] == clicks[1]


def test_impossible_negatives_are_refused() -> None:
    dataset = random_dataset(2, users=3, items=2, rows=200, time="order", negatives="matched")
    rows = np.arange(dataset.rows)
    with pytest.raises(ValueError, match=r"no matched negatives for \d of \d clicks \(item `i\d`"):
        match_negatives(dataset, rows, Seen(dataset), np.random.default_rng(0))


def test_seen_distinguishes_pairs() -> None:
    dataset = matched()
    users, items = np.meshgrid(np.arange(40), np.arange(120), indexing="ij")
    found = Seen(dataset)(users.ravel(), items.ravel()).reshape(40, 120)
    wanted = np.zeros((40, 120), dtype=bool)
    wanted[dataset.user, dataset.item] = True
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("kind", "name", "fold", "message"),
    [
        ("logged", "random", None, "split `random` does not exist; there are: global, items"),
        ("logged", "items", None, "needs a fold from 0 to 5, not None"),
        ("logged", "items", 6, "needs a fold from 0 to 5, not 6"),
        ("logged", "global", 1, "only the split `items` has folds"),
        ("logged", "warm", None, "`warm` is for matched negatives"),
        ("matched", "global", None, "`global` needs real times"),
        ("matched", "time", None, "`time` needs real times"),
    ],
)
def test_splits_that_do_not_fit_the_data_are_refused(kind: str, name: str, fold: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_split(logged() if kind == "logged" else matched(), name, fold=fold)


def test_defaults() -> None:
    assert default_split(logged()) == "global"
    assert default_split(matched()) == "warm"
