"""Metrics against scikit-learn and against sums over all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from plugrank_training.evaluate import metrics
from plugrank_training.evaluate.bootstrap import Compared, Interval, paired_intervals
from plugrank_training.evaluate.weighted_auc import WeightedAuc

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(seed: int, count: int = 400, *, ties: bool = True) -> Rows:
    """Users, labels and probabilities; some users have one class only."""
    random = np.random.default_rng(seed)
    user = random.integers(0, 25, count) * 3
    label = random.integers(0, 2, count).astype(np.int8)
    label[user < 9] = 1
    probability = random.beta(2, 3, count) * 0.7 + 0.2 * label
    return user, label, np.round(probability, 1) if ties else probability


def weighted_auc_by_pairs(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """The definition: weight of the pairs that are in the right order, ties half."""
    won = total = 0.0
    for i in np.flatnonzero(label == 1):
        for j in np.flatnonzero(label == 0):
            total += weight[i] * weight[j]
            won += weight[i] * weight[j] * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    return won / total if total else math.nan


def weighted_gauc_by_pairs(user: np.ndarray, label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    won = total = 0.0
    for one in np.unique(user):
        own = user == one
        area = weighted_auc_by_pairs(label[own], score[own], weight[own])
        if not math.isnan(area):
            won += area * weight[own].sum()
            total += weight[own].sum()
    return won / total


@pytest.mark.parametrize("ties", [False, True])
def test_auc_and_log_loss_equal_scikit_learn(ties: bool) -> None:
    _, label, probability = rows(1, ties=ties)
    assert metrics.auc(label, probability) == pytest.approx(roc_auc_score(label, probability), abs=1e-12)
    assert metrics.log_loss(label, probability) == pytest.approx(sklearn_log_loss(label, probability), abs=1e-12)


def test_centred_auc_ignores_the_click_rate_of_users() -> None:
    user, label, probability = rows(4, ties=False)
    logit = np.log(probability) - np.log1p(-probability)
    centred = logit - np.array([logit[user == one].mean() for one in user])
    assert metrics.centred_auc(user, label, probability) == pytest.approx(roc_auc_score(label, centred), abs=1e-12)
    shift = np.random.default_rng(0).normal(size=user.max() + 1)[user]
    shifted = 1 / (1 + np.exp(-logit - 3 * shift))
    assert metrics.centred_auc(user, label, shifted) == pytest.approx(roc_auc_score(label, centred), abs=1e-9)
    assert abs(metrics.auc(label, shifted) - metrics.auc(label, probability)) > 0.05
    # A user's level alone tells nothing.
    assert metrics.centred_auc(user, label, 1 / (1 + np.exp(-shift))) == 0.5
    assert math.isnan(metrics.centred_auc(user[:0], label[:0], probability[:0]))


@pytest.mark.parametrize("ties", [False, True])
def test_gauc_is_the_weighted_mean_of_the_users_with_both_classes(ties: bool) -> None:
    user, label, probability = rows(2, ties=ties)
    total = weight = 0.0
    for one in np.unique(user):
        own = user == one
        if 0 < label[own].sum() < own.sum():
            total += roc_auc_score(label[own], probability[own]) * own.sum()
            weight += own.sum()
    assert weight < len(user)
    assert metrics.gauc(user, label, probability) == pytest.approx(total / weight, abs=1e-12)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_weighted_areas_equal_the_sum_over_pairs(seed: int) -> None:
    user, label, score = rows(seed, 120)
    random = np.random.default_rng(seed)
    member = random.integers(0, 10, 120)
    overall, by_user = WeightedAuc(label, score, member=member), WeightedAuc(label, score, user, member)
    for _ in range(5):
        times = random.integers(0, 4, 10).astype(np.float64)
        weight = times[member]
        assert overall(times) == pytest.approx(weighted_auc_by_pairs(label, score, weight), abs=1e-12)
        assert by_user(times) == pytest.approx(weighted_gauc_by_pairs(user, label, score, weight), abs=1e-12)


def test_one_class_has_no_area() -> None:
    ones, user, score = np.ones(5, dtype=np.int8), np.arange(5), np.linspace(0, 1, 5)
    assert math.isnan(metrics.auc(ones, score))
    assert math.isnan(metrics.gauc(user, np.array([1, 0, 1, 0, 1]), score))
    assert math.isnan(metrics.normalised_entropy(ones, score))
    assert math.isnan(metrics.calibration_ratio(0 * ones, score))
    assert math.isnan(WeightedAuc(np.array([1, 0]), score[:2], member=np.array([0, 1]))(np.array([2.0, 0.0])))


def test_a_nan_score_is_refused() -> None:
    with pytest.raises(ValueError, match="score 1 is not a number"):
        metrics.auc(np.array([0, 1]), np.array([0.5, np.nan]))


def test_normalised_entropy_of_the_base_rate_is_one() -> None:
    label = np.array([1, 0, 0, 0])
    assert metrics.normalised_entropy(label, np.full(4, 0.25)) == pytest.approx(1.0)
    assert metrics.normalised_entropy(label, np.array([0.9, 0.1, 0.1, 0.1])) < 0.3


def test_calibration_ratio_is_mean_prediction_over_click_rate() -> None:
    assert metrics.calibration_ratio(np.array([1, 0, 0, 1]), np.array([0.9, 0.6, 0.6, 0.9])) == pytest.approx(1.5)


def test_ece_by_hand() -> None:
    # Two bins of two: means 0.15 and 0.85 against click rates 0.5 and 0.5.
    label, probability = np.array([0, 1, 1, 0]), np.array([0.1, 0.2, 0.8, 0.9])
    assert metrics.expected_calibration_error(label, probability, bins=2) == pytest.approx(0.35)
    # Equal predictions share a bin however they are ordered: all four have rank 0.
    for clicks in ([1, 1, 0, 0], [0, 0, 1, 1]):
        assert metrics.expected_calibration_error(np.array(clicks), np.full(4, 0.5), bins=2) == pytest.approx(0.0)


def test_ece_bins_have_equal_mass() -> None:
    random = np.random.default_rng(8)
    probability = random.beta(1, 9, 3000)
    label = (random.random(3000) < probability**2).astype(np.int8)
    order = np.argsort(probability)
    wanted = sum(
        abs(probability[part].mean() - label[part].mean()) * len(part) / 3000 for part in np.array_split(order, 15)
    )
    assert metrics.expected_calibration_error(label, probability) == pytest.approx(wanted, abs=1e-12)


def test_evaluate_reports_every_metric() -> None:
    user, label, probability = rows(6)
    found = metrics.evaluate(user, label, probability)
    assert list(found) == ["auc", "gauc", "centred_auc", "log_loss", "normalised_entropy", "calibration_ratio", "ece"]
    assert all(type(value) is float and math.isfinite(value) for value in found.values())


def test_intervals_equal_resampling_row_by_row() -> None:
    user, label, baseline = rows(9, 300)
    model = np.clip(baseline + 0.1 * (label - 0.5), 0.01, 0.99)
    found = paired_intervals(Compared(user, label, baseline, model), user, draws=60, seed=4)
    random = np.random.default_rng(4)
    users = np.unique(user)
    drawn = []
    for _ in range(60):
        # A user that is drawn twice counts twice, as one user with twice the impressions.
        chosen = users[random.integers(0, len(users), len(users))]
        taken = np.concatenate([np.flatnonzero(user == one) for one in chosen])
        drawn.append(
            [
                roc_auc_score(label[taken], model[taken]) - roc_auc_score(label[taken], baseline[taken]),
                metrics.gauc(user[taken], label[taken], model[taken])
                - metrics.gauc(user[taken], label[taken], baseline[taken]),
                metrics.log_loss(label[taken], model[taken]) - metrics.log_loss(label[taken], baseline[taken]),
            ]
        )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert list(found) == ["auc", "gauc", "centred_auc", "log_loss"]
    for column, name in enumerate(("auc", "gauc", "log_loss")):
        assert (found[name].low, found[name].high) == pytest.approx((low[column], high[column]), abs=1e-10)
    whole = metrics.auc(label, model) - metrics.auc(label, baseline)
    assert found["auc"].difference == pytest.approx(whole, abs=1e-12)
    assert found["auc"].low < found["auc"].difference < found["auc"].high


def test_a_clear_gain_is_distinguished_from_none() -> None:
    random = np.random.default_rng(0)
    user, truth = np.repeat(np.arange(200), 10), random.random(2000)
    label = (random.random(2000) < truth).astype(np.int8)
    noise = random.random(2000)
    gain = paired_intervals(Compared(user, label, noise, truth), user, draws=200)["auc"]
    assert gain.is_gain_or_loss
    assert gain.low > 0
    same = paired_intervals(Compared(user, label, truth, truth), user, draws=50)
    assert same == {name: Interval(0.0, 0.0, 0.0) for name in ("auc", "gauc", "centred_auc", "log_loss")}
    assert not same["auc"].is_gain_or_loss


def test_an_empty_sample_is_refused() -> None:
    none = np.zeros(0)
    with pytest.raises(ValueError, match="no impressions"):
        paired_intervals(Compared(none, none, none, none), none)
