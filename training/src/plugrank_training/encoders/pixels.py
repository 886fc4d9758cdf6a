"""Images to the numbers the image encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from plugrank_training.encoders.image_encoder import MEAN, STD


def load_pixels(path: Path, width: int, height: int) -> np.ndarray:
    """RGB bytes `[3, height, width]` of one image, resized with Pillow's bilinear filter.

    Raises `ValueError` that names the file where it is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {path}: cannot be read ({error}); repair it or clear the item's `image`") from error
    return np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1)


def normalise(pixels: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Bytes `[n, 3, h, w]` -> f32, divided by 255, less the mean, over the deviation of each channel."""
    values = np.asarray(pixels, dtype=np.float32) / np.float32(255.0)
    mean = np.array(MEAN, dtype=np.float32).reshape(1, 3, 1, 1)
    deviation = np.array(STD, dtype=np.float32).reshape(1, 3, 1, 1)
    scaled: np.ndarray = (values - mean) / deviation
    return scaled
