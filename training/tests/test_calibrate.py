"""Calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from plugrank_training.evaluate.calibrate import apply, calibrate


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
