"""Parts of the test impressions that are looked at apart: cold, rare and popular items, cold users, missing content."""

from __future__ import annotations

import numpy as np

from plugrank_training.data.catalog import count_rows
from plugrank_training.data.splits import Split
from plugrank_training.evaluate.metrics import evaluate

# Share of the warm items, by training impressions, that count as popular and as rare.
POPULAR, RARE = 0.9, 0.5
# A slice with fewer impressions is not measured.
FEWEST = 50


def slices_of(split: Split, items: int, users: int, present: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Masks over the test part, by name.

    Cold: not one impression in training. `present[part]` says, f32 `[items]`, which items have text, an image.
    """
    test, train = split.test, split.train
    shown, seen = count_rows(train.item, items), count_rows(train.user, users)
    count = shown[test.item]
    warm = shown[shown > 0]
    rare, popular = np.quantile(warm, [RARE, POPULAR]) if len(warm) else (0, 0)
    found = {
        "cold items": count == 0,
        "rare items": (count > 0) & (count <= rare),
        "middle items": (count > rare) & (count < popular),
        "popular items": (count > 0) & (count >= popular),
        "cold users": seen[test.user] == 0,
        "warm users": seen[test.user] > 0,
    }
    for part, there in present.items():
        found[f"without {part}"] = there[test.item] == 0
    return found


def measure(
    masks: dict[str, np.ndarray], user: np.ndarray, label: np.ndarray, probability: np.ndarray
) -> dict[str, dict[str, float]]:
    """Metrics of every slice that has impressions enough, with their number as `rows`."""
    return {
        name: {"rows": int(mask.sum())} | evaluate(user[mask], label[mask], probability[mask])
        for name, mask in masks.items()
        if mask.sum() >= FEWEST
    }
