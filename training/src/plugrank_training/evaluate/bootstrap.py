"""Paired bootstrap: how sure a difference between two models on the same impressions is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugrank_training.evaluate.weighted_auc import WeightedAuc
from plugrank_training.progress_bar import progress_bar

DRAWS = 1000


@dataclass(frozen=True)
class Interval:
    """A difference, model minus baseline, with the middle 95% of its bootstrap draws."""

    difference: float
    low: float
    high: float

    @property
    def is_gain_or_loss(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Compared:
    """Two models' click probabilities for the same impressions, each `[n]`."""

    user: np.ndarray
    label: np.ndarray
    baseline: np.ndarray
    model: np.ndarray


def paired_intervals(
    compared: Compared, resampled: np.ndarray, draws: int = DRAWS, seed: int = 0, progress: bool = False
) -> dict[str, Interval]:
    """Differences in `auc`, `gauc` and `log_loss`.

    `resampled` (`[n]`) says which impressions belong together: users, or items where items are what is new. A draw
    takes as many of them as there are, with replacement, and all their impressions as often; both models are measured
    on the same draw. Draws in which a metric does not exist (one class only) are left out of its interval.
    """
    names, member = np.unique(resampled, return_inverse=True)
    count = len(names)
    if not count:
        raise ValueError("there are no impressions to resample")
    statistics = Statistics(compared, member, count)
    observed = statistics(np.ones(count))
    random = np.random.default_rng(seed)
    bar = progress_bar(range(draws), desc="bootstrap", unit="draw", shown=progress)
    table = np.array([statistics(np.bincount(random.integers(0, count, count), minlength=count)) for _ in bar])
    return {
        name: Interval(float(observed[column]), *middle(table[:, column]))
        for column, name in enumerate(Statistics.NAMES)
    }


def middle(values: np.ndarray) -> tuple[float, float]:
    """Bounds of the middle 95%."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [0.025, 0.975])
    return float(low), float(high)


class Statistics:
    """The differences, model minus baseline, under weights of the resampled members."""

    NAMES = ("auc", "gauc", "log_loss")

    def __init__(self, compared: Compared, member: np.ndarray, count: int) -> None:
        label, pair = compared.label, (compared.model, compared.baseline)
        self.overall = [WeightedAuc(label, score, member=member) for score in pair]
        self.by_user = [WeightedAuc(label, score, compared.user, member) for score in pair]
        model, baseline = (losses(label, score) for score in pair)
        # Summed over each member's impressions: a member's weight multiplies them all.
        self.loss = np.bincount(member, model - baseline, minlength=count)
        self.impressions = np.bincount(member, minlength=count)

    def __call__(self, times: np.ndarray) -> list[float]:
        """How often each member was drawn, `[members]`; gives auc, gauc, log loss."""
        weight = times.astype(np.float64)
        ranks = [model(weight) - baseline(weight) for model, baseline in (self.overall, self.by_user)]
        return [*ranks, float(weight @ self.loss / (weight @ self.impressions))]


def losses(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each impression, f64 `[n]`; probabilities are kept off 0 and 1 as in `log_loss`."""
    tiny = np.finfo(np.float64).eps
    chance = np.clip(np.asarray(probability, dtype=np.float64), tiny, 1 - tiny)
    return -np.log(np.where(label == 1, chance, 1 - chance))
