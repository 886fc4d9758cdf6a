"""Popularity as the retrieval service counts it."""

from __future__ import annotations

import numpy as np


def wilson_lower_bound(clicks: np.ndarray, impressions: np.ndarray, z: float) -> np.ndarray:
    """Lower bound of the click rate, `z` standard deviations below; 0 without impressions. f64, shape as given.

    Score interval of E. B. Wilson, JASA 22 (1927): with p = c/n,
    `(p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`.
    """
    shown = np.maximum(impressions, clicks).astype(np.float64)
    safe = np.maximum(shown, 1.0)
    rate, square = clicks / safe, z * z / safe
    spread = z * np.sqrt(rate * (1.0 - rate) / safe + square / (4.0 * safe))
    bound: np.ndarray = np.where(shown > 0, np.maximum((rate + square / 2.0 - spread) / (1.0 + square), 0.0), 0.0)
    return bound
