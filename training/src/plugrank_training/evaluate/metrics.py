"""How good predicted click probabilities are: ranking, likelihood, calibration.

Every function takes arrays of one value an impression, shape `[n]`.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import log_loss as sklearn_log_loss

from plugrank_training.evaluate.weighted_auc import WeightedAuc

ECE_BINS = 15


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Chance that a clicked impression scores above one that was not, ties half; NaN where one class is absent."""
    return WeightedAuc(label, score)(np.ones(1))


def gauc(user: np.ndarray, label: np.ndarray, score: np.ndarray) -> float:
    """Mean of each user's AUC, weighted by the user's impressions; users of one class are left out.

    NaN where no user has both classes. As in Deep Interest Network, arXiv 1706.06978.
    """
    return WeightedAuc(label, score, user)(np.ones(1))


def centred_auc(user: np.ndarray, label: np.ndarray, probability: np.ndarray) -> float:
    """AUC after each user's mean log-odds is taken away: what is left when it is known how often a user clicks.

    Between AUC, which a user's own level raises, and GAUC, which compares no two users and leaves out those of one
    class. Log-odds are kept finite by the resolution of f64. NaN where one class is absent.
    """
    return auc(label, centred_log_odds(user, probability)) if len(label) else float("nan")


def centred_log_odds(user: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Log-odds less their mean over each user's impressions, f64; what is equal but for rounding is a tie."""
    tiny = np.finfo(np.float64).eps
    chance = np.clip(np.asarray(probability, dtype=np.float64), tiny, 1 - tiny)
    logit = np.log(chance) - np.log1p(-chance)
    _, place = np.unique(user, return_inverse=True)
    mean = np.bincount(place, logit) / np.bincount(place)
    centred: np.ndarray = np.round(logit - mean[place], 9)
    return centred


def log_loss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats; probabilities are kept off 0 and 1 by the resolution of their type."""
    return float(sklearn_log_loss(label, np.asarray(probability, dtype=np.float64), labels=[0, 1]))


def normalised_entropy(label: np.ndarray, probability: np.ndarray) -> float:
    """Log loss over that of the base rate: 1 knows the base rate and no more. NaN where one class is absent.

    He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014, eq. 1.
    """
    rate = float(np.mean(label))
    if not 0 < rate < 1:
        return float("nan")
    return log_loss(label, probability) / -float(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def calibration_ratio(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean prediction divided by the click rate: above 1 it overestimates. NaN without clicks."""
    clicks = float(np.sum(label))
    return float(np.sum(probability, dtype=np.float64)) / clicks if clicks else float("nan")


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean distance of prediction and click rate over bins of equal mass, weighted by impressions.

    Sorted by prediction, the impression of rank r (from 0, the lowest of its ties) lies in bin floor(r * bins / n), so
    equal predictions share a bin and every bin has about n / bins impressions.
    """
    count = len(label)
    if not count:
        return float("nan")
    rank = np.searchsorted(np.sort(probability), probability, side="left")
    place = rank * bins // count
    gap = np.bincount(place, weights=probability, minlength=bins) - np.bincount(place, weights=label, minlength=bins)
    return float(np.abs(gap).sum() / count)


def evaluate(user: np.ndarray, label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """All of the above."""
    return {
        "auc": auc(label, probability),
        "gauc": gauc(user, label, probability),
        "centred_auc": centred_auc(user, label, probability),
        "log_loss": log_loss(label, probability),
        "normalised_entropy": normalised_entropy(label, probability),
        "calibration_ratio": calibration_ratio(label, probability),
        "ece": expected_calibration_error(label, probability),
    }
