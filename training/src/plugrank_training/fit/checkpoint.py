"""What a fit needs to go on exactly where a kill stopped it."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import torch

from plugrank_training.durable import write_durably

# Seconds between two checkpoints: what a kill may cost.
EVERY_SECONDS = 60.0


class Checkpoint:
    """One file, replaced in one step, so that a kill at any moment leaves the last whole one.

    `resume`: read what an earlier process left; without it a fit starts over.
    """

    def __init__(self, path: Path, resume: bool, every_seconds: float = EVERY_SECONDS) -> None:
        self.path, self.resume, self.every_seconds = path, resume, every_seconds
        self.saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state that was left, or None."""
        if not self.path.is_file():
            return None
        if not self.resume:
            print(f"{self.path.name}: an interrupted run left a checkpoint; --resume goes on from it", flush=True)
            return None
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        return state

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self.saved >= self.every_seconds

    def save(self, state: dict[str, Any]) -> None:
        """Write the state and wait until it is on the disk."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_durably(self.path, buffer.getvalue())
        self.saved = time.monotonic()

    def remove(self) -> None:
        """The fit is finished."""
        self.path.unlink(missing_ok=True)
