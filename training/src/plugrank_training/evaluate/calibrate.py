"""Calibration of logits on the validation part: Platt scaling or isotonic regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

# The largest change of a model's logits as a whole.
MOST_SHIFT = 5.0
# Isotonic outputs stay this far from 0 and 1: a step seen on a few rows is no certainty.
EDGE = 1e-3


def platt(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """`a`, `b` of `sigmoid(a * logit + b)` by maximum likelihood, `a` above 0 so that the order stays.

    Labels are drawn a little to the middle as Platt does (Advances in Large Margin Classifiers, 1999).
    """
    positives = float(labels.sum())
    high = (positives + 1.0) / (positives + 2.0)
    low = 1.0 / (len(labels) - positives + 2.0)
    target = np.where(labels > 0, high, low)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        scores = slope * logits + parameters[1]
        error = (expit(scores) - target) / len(labels)
        value = float(np.mean(np.logaddexp(0.0, scores) - target * scores))
        return value, np.array([np.sum(error * logits) * slope, np.sum(error)])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5.0, 5.0), (-20.0, 20.0)])
    return {"method": "platt", "a": float(np.exp(found.x[0])), "b": float(found.x[1])}


def isotonic(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Corner points of the isotonic regression of labels on logits, `x` strictly ascending."""
    regression = IsotonicRegression(y_min=EDGE, y_max=1.0 - EDGE, out_of_bounds="clip").fit(logits, labels)
    x, y = np.asarray(regression.X_thresholds_), np.asarray(regression.y_thresholds_)
    keep = np.append(np.diff(x) > 0, True)
    return {"method": "isotonic", "x": x[keep].tolist(), "y": y[keep].tolist()}


def calibrate(method: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The manifest's calibration entry. Raises `ValueError` without rows."""
    if len(logits) == 0:
        raise ValueError("the validation part is empty: nothing to calibrate on; take a larger data set or other split")
    return isotonic(logits, labels) if method == "isotonic" else platt(logits, labels)


def recentred(entry: dict[str, Any], logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """`entry` for another model of the same kind: its shape as it is, moved along the logits until the mean probability
    of these rows is their click rate.

    For a model that has read the rows. How far its logits are from 0 says little of what they are on others, so the
    slope cannot be fitted on them; their mean is what it is elsewhere: the levels it has learned are those of its rows.
    """
    rate = float(labels.mean())

    def off(shift: float) -> float:
        return float(apply(entry, logits + shift).mean()) - rate

    if not off(-MOST_SHIFT) < 0.0 < off(MOST_SHIFT):
        return entry
    shift = float(brentq(off, -MOST_SHIFT, MOST_SHIFT, xtol=1e-9))
    if entry["method"] == "isotonic":
        return entry | {"x": [x - shift for x in entry["x"]]}
    return entry | {"b": entry["b"] + entry["a"] * shift}


def apply(entry: dict[str, Any], logits: np.ndarray) -> np.ndarray:
    """Calibrated click probabilities (docs/bundle-format.md)."""
    if entry["method"] == "isotonic":
        return np.interp(logits, entry["x"], entry["y"])
    probability: np.ndarray = expit(entry["a"] * logits + entry["b"])
    return probability
