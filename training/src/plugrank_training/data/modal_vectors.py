"""Items' modal vectors, read a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Share of a GPU's free memory that vectors may take; where they would take more they stay in their files.
GPU_SHARE = 0.25


class ModalVectors:
    """Vectors of each part (text, image), `[items, dim]`, side by side; usually mapped from files."""

    def __init__(self, parts: Sequence[np.ndarray], device: torch.device | None = None) -> None:
        self.parts = tuple(parts)
        self.device = device or torch.device("cpu")
        self.resident: Tensor | None = None
        if self.device.type == "cuda" and sum(part.nbytes for part in parts) < GPU_SHARE * free_memory(self.device):
            self.resident = torch.cat([torch.tensor(part) for part in parts], dim=1).to(self.device)

    @classmethod
    def of(cls, rows: Tensor) -> ModalVectors:
        """Vectors that are on a device already, `[items, dim of all parts]`."""
        made = cls(())
        made.device, made.resident = rows.device, rows
        return made

    def __len__(self) -> int:
        """Items."""
        return len(self.parts[0] if self.resident is None else self.resident)

    def to(self, device: torch.device) -> ModalVectors:
        """The same, giving rows on another device."""
        return self if device == self.device else ModalVectors(self.parts, device)

    def __getitem__(self, items: Tensor) -> Tensor:
        """Rows of items `[n]`, f32 `[n, dim of all parts]`."""
        if self.resident is not None:
            return self.resident[items]
        rows = items.cpu().numpy()
        gathered = np.concatenate([part[rows] for part in self.parts], axis=1)
        return torch.from_numpy(gathered).to(self.device)

    def sample(self, present: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """All vectors with `present [items, parts]`, or those of `most` items evenly spread over the catalog."""
        places = torch.arange(len(self))
        if len(self) > most:
            places = torch.linspace(0, len(self) - 1, most, dtype=torch.float64).long()
        return self[places.to(self.device)], present[places.to(present.device)]


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that nobody uses."""
    free: int = torch.cuda.mem_get_info(device)[0]
    return free
