"""Calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from plugrank_training.evaluate.calibrate import apply, calibrate, recentred


def drawn(seed: int = 0, rows: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a model that is too sure of itself and too low, with labels from the truth."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal(rows)
    labels = (random.random(rows) < expit(truth)).astype(np.int8)
    return 2.0 * truth - 1.0, labels


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_restores_the_probabilities(method: str) -> None:
    logits, labels = drawn()
    entry = calibrate(method, logits, labels)
    fresh, _ = drawn(seed=1)
    error = np.abs(apply(entry, fresh) - expit((fresh + 1.0) / 2.0))
    assert error.mean() < 0.02
    assert np.abs(expit(fresh) - expit((fresh + 1.0) / 2.0)).mean() > 0.1


def test_platt_scaling_keeps_the_order() -> None:
    logits, labels = drawn(rows=2000)
    assert calibrate("platt", logits, 1 - labels)["a"] > 0


def test_isotonic_points_are_strictly_ascending() -> None:
    logits, labels = drawn(rows=2000)
    entry = calibrate("isotonic", np.round(logits, 1), labels)
    assert np.all(np.diff(entry["x"]) > 0)
    assert np.all(np.diff(entry["y"]) >= 0)
    assert min(entry["y"]) > 0
    assert max(entry["y"]) < 1
    low, high = apply(entry, np.array([-100.0, 100.0]))
    assert low == entry["y"][0]
    assert high == entry["y"][-1]


def test_an_empty_validation_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="validation part is empty"):
        calibrate("platt", np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_model_that_learned_the_level_is_not_moved_twice(method: str) -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(0.0, 1.5, 20_000)
    # Clicks became more frequent: the first model is 0.8 behind, the one that has read these rows is not.
    labels = (generator.random(20_000) < 1.0 / (1.0 + np.exp(-(0.7 * logits + 0.8)))).astype(np.int64)
    entry = calibrate(method, logits, labels)
    again = recentred(entry, logits + 0.8 / 0.7, labels)
    assert apply(again, logits + 0.8 / 0.7).mean() == pytest.approx(labels.mean(), abs=1e-6)
    assert np.abs(apply(again, logits + 0.8 / 0.7) - apply(entry, logits)).mean() < 5e-3
    assert abs(apply(entry, logits + 0.8 / 0.7).mean() - labels.mean()) > 0.05
    assert recentred(entry, logits, np.ones(20_000)) == entry, "no shift gives a rate of 1"
