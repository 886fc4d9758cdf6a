"""Any torchvision network as the image encoder."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import ImageConfig
from plugrank_training.encoders.image_encoder import MEAN, STD
from plugrank_training.feature_config import ConfigError

# What torchvision's weights were trained with.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionImage(nn.Module):
    """A network whose last linear layer is replaced by a projection to `dim`; vectors of length sqrt(dim)."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.network = load_network(config)
        self.dim = config.dim
        # From the pixels a bundle states (`MEAN`, `STD`) to those the network knows.
        scale = torch.tensor(STD) / torch.tensor(IMAGENET_STD)
        shift = (torch.tensor(MEAN) - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
        self.register_buffer("scale", scale.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(1, 3, 1, 1), persistent=False)
        self.scale: Tensor
        self.shift: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        """f32 `[batch, 3, height, width]` -> `[batch, dim]`."""
        features = self.network(pixels * self.scale + self.shift)
        return functional.normalize(features, dim=-1, eps=1e-6) * self.dim**0.5


def load_network(config: ImageConfig) -> nn.Module:
    """By `image.encoder`, with `image.weights`: none, a file of weights, or a name such as `DEFAULT` to download."""
    try:
        from torchvision import models
    except ImportError as error:
        raise ConfigError("image.encoder: pip install 'plugrank-training[encoders]' for other encoders") from error
    file = Path(config.weights)
    try:
        network: nn.Module = models.get_model(
            config.encoder, weights=None if not config.weights or file.is_file() else config.weights
        )
    except ValueError as error:
        raise ConfigError(f"image.encoder = `{config.encoder}`, image.weights = `{config.weights}`: {error}") from error
    if config.weights and file.is_file():
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ConfigError(f"image.encoder = `{config.encoder}`: has no linear layer at its end to replace")
    last = network.get_submodule(linear[-1])
    if isinstance(last, nn.Linear):
        network.set_submodule(linear[-1], nn.Linear(last.in_features, config.dim))
    return network
