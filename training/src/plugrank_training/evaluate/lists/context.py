"""What summaries of lists are made against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugrank_training.data.examples import Examples
from plugrank_training.evaluate.lists.requests import Requests


@dataclass(frozen=True)
class Context:
    """What summaries are made against."""

    requests: Requests
    # The later part, whose impressions say what was clicked of what was listed.
    part: Examples
    # bool [items]: in the catalog at the moment; and without a single impression before it.
    available: np.ndarray
    cold: np.ndarray
