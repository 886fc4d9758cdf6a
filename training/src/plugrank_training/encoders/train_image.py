"""Training of the image encoder: it learns to tell an item's categories, or its text, from its picture."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from plugrank_training.config import ImageConfig
from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.pixels import normalise
from plugrank_training.encoders.torchvision_image import TorchvisionImage
from plugrank_training.progress_bar import progress_bar

TEMPERATURE = 0.07


def category_loss(told: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of each category, `told` and 0/1 `target` `[batch, categories]`."""
    return functional.binary_cross_entropy_with_logits(told, target)


def text_loss(told: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of each picture's own text among the batch's, and of each text's own picture.

    `told` and the texts' vectors `target`, which do not train, `[batch, dim]`. Zhai et al., LiT, arXiv 2111.07991.
    """
    scores = functional.normalize(told, dim=-1) @ functional.normalize(target, dim=-1).T / TEMPERATURE
    own = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


LOSSES = {"categories": category_loss, "text": text_loss}


def train_image_encoder(
    encoder: ImageEncoder | TorchvisionImage,
    pixels: np.ndarray,
    targets: np.ndarray,
    config: ImageConfig,
    seed: int,
    device: torch.device,
) -> list[float]:
    """Train in place on bytes `[n, 3, h, w]` and what they are to tell, 0/1 categories or text vectors `[n, width]`;
    gives each epoch's mean loss.

    Pictures are mirrored and shifted at random.
    """
    losses: list[float] = []
    if len(pixels) < 2 or targets.shape[1] == 0 or config.epochs == 0:
        return losses
    random = np.random.default_rng(seed)
    head, loss_of = nn.Linear(config.dim, targets.shape[1]).to(device), LOSSES[config.objective]
    encoder.to(device).train()
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.05)
    batches = max(len(pixels) // config.batch, 1)
    total = max(config.epochs * batches, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=total)
    bar = progress_bar(range(config.epochs), desc="image encoder", unit="epoch")
    for _ in bar:
        order = random.permutation(len(pixels))
        seen = []
        for rows in np.array_split(order, batches):
            images = torch.from_numpy(normalise(pixels[rows])).to(device)
            if random.random() < 0.5:
                images = images.flip(3)
            shifts = (int(random.integers(-3, 4)), int(random.integers(-3, 4)))
            images = images.roll(shifts, dims=(2, 3))
            target = torch.from_numpy(targets[rows].astype(np.float32)).to(device)
            loss = loss_of(head(encoder(images)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            seen.append(loss.item())
        losses.append(float(np.mean(seen)))
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    encoder.eval()
    return losses


@torch.no_grad()
def encode_images(encoder: ImageEncoder | TorchvisionImage, pixels: np.ndarray, device: torch.device) -> np.ndarray:
    """Vectors of images given as bytes `[n, 3, h, w]`, f32 `[n, dim]`."""
    encoder.to(device).eval()
    made = [np.zeros((0, encoder.dim), dtype=np.float32)]
    for start in progress_bar(range(0, len(pixels), 256), desc="images", unit="batch"):
        images = torch.from_numpy(normalise(pixels[start : start + 256])).to(device)
        made.append(encoder(images).cpu().numpy())
    return np.concatenate(made)
