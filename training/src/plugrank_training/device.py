"""Where training runs."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises `ValueError` where `cuda` is asked for and absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no usable CUDA device; use --device cpu or auto")
    return torch.device(name)
