"""Outputs of frozen layers for every history of a part, mapped from a file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from plugrank_training.models.inputs import Named


class HistoryStates:
    """By name f16 or f32 `[entries, d]`: the entries of all groups one after another, newest first.

    `starts [groups + 1]`: the first entry of each group; `blocks [blocks + 1]`: the first group of each block.
    """

    def __init__(self, outputs: Mapping[str, np.ndarray], starts: np.ndarray, blocks: np.ndarray) -> None:
        self.outputs, self.starts, self.blocks = outputs, starts, blocks

    def rows(self, block: int, groups: np.ndarray, length: int, device: torch.device) -> Named:
        """Outputs of groups of a block, each f32 `[groups, length, d]`; beyond a history's end anything finite."""
        numbers = self.blocks[block] + groups
        first, end = self.starts[numbers], self.starts[numbers + 1]
        places = first[:, None] + np.arange(length)
        there = places < end[:, None]
        found = {}
        for name, stored in self.outputs.items():
            found[name] = torch.from_numpy(stored[np.where(there, places, 0)]).to(device).float()
        return found
