"""Outputs of frozen layers for every item, mapped from a file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from plugrank_training.models.inputs import Named


class FrozenItems:
    """By name f32 `[items + 1, d]`; the last row is an item of which nothing is known."""

    def __init__(self, outputs: Mapping[str, np.ndarray], device: torch.device) -> None:
        self.outputs, self.device = outputs, device

    def rows(self, items: Tensor, gone: Tensor) -> Named:
        """Outputs of items `[n]`, each f32 `[n, d]`; `gone`, bool `[n]`, are read as unknown."""
        places = items.cpu().numpy()
        hidden = gone.cpu().numpy()
        return {
            name: torch.from_numpy(stored[np.where(hidden, len(stored) - 1, places)]).to(self.device)
            for name, stored in self.outputs.items()
        }
