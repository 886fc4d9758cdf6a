"""The image encoder: a small residual network (arXiv 1512.03385) whose pooled features are projected."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import ImageConfig

# Pixels are RGB / 255, then normalised with these.
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one; halves width and height."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(outside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside))
        self.shortcut = nn.Conv2d(inside, outside, 1, stride=2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, inside, h, w]` -> `[batch, outside, h / 2, w / 2]`."""
        return functional.relu(self.second(self.first(images)) + self.shortcut(images))


class ImageEncoder(nn.Module):
    """Pixels to one vector of length sqrt(dim)."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        width = config.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            ResidualBlock(width, 2 * width), ResidualBlock(2 * width, 3 * width), ResidualBlock(3 * width, 3 * width)
        )
        self.out = nn.Linear(3 * width, config.dim)
        self.dim = config.dim

    def forward(self, pixels: Tensor) -> Tensor:
        """f32 `[batch, 3, height, width]` -> `[batch, dim]`."""
        features = self.blocks(self.stem(pixels)).mean(dim=(2, 3))
        return functional.normalize(self.out(features), dim=-1, eps=1e-6) * self.dim**0.5
