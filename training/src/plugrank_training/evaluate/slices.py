"""Parts of the impressions that are looked at apart: cold, rare and popular items, cold users and those with little
past, missing content."""

from __future__ import annotations

import numpy as np

from plugrank_training.data.catalog import count_rows
from plugrank_training.data.examples import Examples
from plugrank_training.data.splits import Split
from plugrank_training.evaluate.metrics import evaluate

# Share of the warm items, by training impressions, that count as popular and as rare.
POPULAR, RARE = 0.9, 0.5
# Impressions of the user before this one, of clicks and others together: slices from each of them up to the next.
PAST = (0, 1, 20, 60)
# A slice with fewer impressions is not measured.
FEWEST = 50


def slices_of(
    split: Split, test: Examples, users: int, past: np.ndarray, present: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Masks over `test`, the split's validation or test part, by name.

    Cold: not one impression in training. `past` says, int64 `[n]`, how many impressions of each one's user stand before
    it; `present[part]`, f32 `[items]`, which items have text, an image.
    """
    train, items = split.train, len(next(iter(present.values())))
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
    for first, after in zip(PAST, (*PAST[1:], None), strict=True):
        found[past_name(first, after)] = (past >= first) & (past < after if after is not None else True)
    for part, there in present.items():
        found[f"without {part}"] = there[test.item] == 0
    return found


def past_name(first: int, after: int | None) -> str:
    """Of a slice by what stands before: `no past`, `past 1 to 19`, `past 60 and more`."""
    if after is None:
        return f"past {first} and more"
    return f"past {first} to {after - 1}" if first else "no past"


def measure(
    masks: dict[str, np.ndarray], user: np.ndarray, label: np.ndarray, probability: np.ndarray
) -> dict[str, dict[str, float]]:
    """Metrics of every slice that has impressions enough, with their number as `rows`."""
    return {
        name: {"rows": int(mask.sum())} | evaluate(user[mask], label[mask], probability[mask])
        for name, mask in masks.items()
        if mask.sum() >= FEWEST
    }
