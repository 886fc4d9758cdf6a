"""Paired bootstrap: how sure a difference between two models on the same impressions is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugrank_training.evaluate.metrics import centred_log_odds
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
    """Two models' click probabilities for the same impressions, each `[n]`, or `[seeds, n]` of several seeds."""

    user: np.ndarray
    label: np.ndarray
    baseline: np.ndarray
    model: np.ndarray


def paired_intervals(
    compared: Compared, resampled: np.ndarray, draws: int = DRAWS, seed: int = 0, progress: bool = False
) -> dict[str, Interval]:
    """Differences in `auc`, `gauc`, `centred_auc` and `log_loss`, of the means over seeds; see `Resampling`."""
    resampling = Resampling(compared.user, compared.label, resampled, draws, seed)
    tables = [resampling.measure(scores, progress) for scores in (compared.model, compared.baseline)]
    return intervals(tables[0], tables[1])


def intervals(model: np.ndarray, baseline: np.ndarray) -> dict[str, Interval]:
    """Of what one `Resampling` measured of two models, each `[1 + draws, metrics]`."""
    table = model - baseline
    return {
        name: Interval(float(table[0, column]), *middle(table[1:, column]))
        for column, name in enumerate(Statistics.NAMES)
    }


class Resampling:
    """Draws of impressions and seeds, the same for every model that is measured by them.

    `resampled` (`[n]`) says which impressions belong together: users, or items where items are what is new. A draw
    takes as many of them as there are, with replacement, and all their impressions as often; where a model has several
    seeds, it takes as many of these too, and the mean over them. All models are measured on the same draws. Draws in
    which a metric does not exist (one class only) are left out of its interval.
    """

    def __init__(
        self, user: np.ndarray, label: np.ndarray, resampled: np.ndarray, draws: int = DRAWS, seed: int = 0
    ) -> None:
        self.user, self.label, self.draws, self.seed = user, label, draws, seed
        names, self.member = np.unique(resampled, return_inverse=True)
        self.count = len(names)
        if not self.count:
            raise ValueError("there are no impressions to resample")

    def measure(self, scores: np.ndarray, progress: bool = False) -> np.ndarray:
        """Metrics of probabilities `[n]` or `[seeds, n]` on the whole and on each draw, f64 `[1 + draws, metrics]`."""
        seeds = np.atleast_2d(scores)
        # What no seed changes is measured once.
        same = len(seeds) > 1 and bool((seeds == seeds[0]).all())
        found = [Statistics(self.user, self.label, one, self.member) for one in (seeds[:1] if same else seeds)]
        random, of_seeds = np.random.default_rng(self.seed), np.random.default_rng([self.seed, 1])
        rows = [np.mean([one(np.ones(self.count)) for one in found], axis=0)]
        for _ in progress_bar(range(self.draws), desc="bootstrap", unit="draw", shown=progress):
            times = np.bincount(random.integers(0, self.count, self.count), minlength=self.count)
            chosen, weight = np.unique(of_seeds.integers(0, len(seeds), len(seeds)), return_counts=True)
            if same:
                chosen, weight = chosen[:1] * 0, weight[:1]
            rows.append(np.average([found[place](times) for place in chosen], axis=0, weights=weight))
        return np.array(rows)


def middle(values: np.ndarray) -> tuple[float, float]:
    """Bounds of the middle 95%."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [0.025, 0.975])
    return float(low), float(high)


class Statistics:
    """A model's metrics under weights of the resampled members."""

    NAMES = ("auc", "gauc", "centred_auc", "log_loss")

    def __init__(self, user: np.ndarray, label: np.ndarray, score: np.ndarray, member: np.ndarray) -> None:
        centred = centred_log_odds(user, score)
        self.ranks = [
            WeightedAuc(label, score, member=member),
            WeightedAuc(label, score, user, member),
            WeightedAuc(label, centred, member=member),
        ]
        # Summed over each member's impressions: a member's weight multiplies them all.
        self.loss = np.bincount(member, losses(label, score))
        self.impressions = np.bincount(member)

    def __call__(self, times: np.ndarray) -> list[float]:
        """How often each member was drawn, `[members]`; gives auc, gauc, centred auc (users' means being those of all
        their impressions) and log loss."""
        weight = times.astype(np.float64)
        return [*(rank(weight) for rank in self.ranks), float(weight @ self.loss / (weight @ self.impressions))]


def losses(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each impression, f64 `[n]`; probabilities are kept off 0 and 1 as in `log_loss`."""
    tiny = np.finfo(np.float64).eps
    chance = np.clip(np.asarray(probability, dtype=np.float64), tiny, 1 - tiny)
    return -np.log(np.where(label == 1, chance, 1 - chance))
