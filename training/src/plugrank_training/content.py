"""Stage 1: text and image encoders, and the modal vectors they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from plugrank_training.config import ImageConfig, TextConfig
from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.pixels import load_pixels
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.tokenizer import item_text, train_tokenizer
from plugrank_training.encoders.train_image import encode_images, train_image_encoder
from plugrank_training.encoders.train_text import PairDrawer, encode_texts, train_text_encoder
from plugrank_training.stages import StageCache, fingerprint


@dataclass(frozen=True)
class Content:
    """What items are made of, one entry an item."""

    folder: Path
    titles: Sequence[str]
    descriptions: Sequence[str]
    categories: Sequence[Sequence[str]]
    # Paths inside the folder, or None.
    images: Sequence[str | None]

    def texts(self) -> list[str]:
        """What the text encoder reads of each item."""
        return [item_text(title, text) for title, text in zip(self.titles, self.descriptions, strict=True)]


@dataclass(frozen=True)
class TextResult:
    """A trained text encoder and the vectors of all items."""

    encoder: TextEncoder
    tokenizer: Tokenizer
    vectors: Tensor
    present: Tensor
    reused: bool


@dataclass(frozen=True)
class ImageResult:
    """A trained image encoder and the vectors of all items."""

    encoder: ImageEncoder
    vectors: Tensor
    present: Tensor
    reused: bool


@dataclass(frozen=True)
class Training:
    """Where and how encoders are trained."""

    cache: StageCache
    # Fingerprint of the data set.
    data: str
    # Item pairs clicked close in time in the training part, int64 [pairs, 2].
    clicked: np.ndarray
    # Fingerprint of the training part.
    split: str
    seed: int
    device: torch.device


def clicked_pairs(user: np.ndarray, item: np.ndarray, label: np.ndarray, reach: int = 3) -> np.ndarray:
    """Items that one user clicked with at most `reach - 1` clicks between, int64 `[pairs, 2]`.

    Rows are in order of time.
    """
    clicks = np.flatnonzero(label == 1)
    clicks = clicks[np.argsort(user[clicks], kind="stable")]
    found = [np.zeros((0, 2), dtype=np.int64)]
    for step in range(1, reach + 1):
        left, right = clicks[:-step], clicks[step:]
        same = user[left] == user[right]
        found.append(np.stack([item[left[same]], item[right[same]]], axis=1).astype(np.int64))
    return np.concatenate(found)


def split_state(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Weights, and the vectors stored beside them."""
    return {name: value for name, value in tensors.items() if name != "vectors"}, tensors["vectors"]


def text_stage(content: Content, config: TextConfig, training: Training) -> TextResult | None:
    """Train the text encoder and encode all items; nothing where no item has text."""
    texts = content.texts()
    if not any(texts):
        return None
    tokenizer = train_tokenizer([text for text in texts if text], config.vocabulary)
    torch.manual_seed(training.seed)
    encoder = TextEncoder(tokenizer.get_vocab_size(), config)

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        random = np.random.default_rng(training.seed)
        pairs = PairDrawer(content.titles, content.descriptions, texts, training.clicked, random)
        losses = train_text_encoder(encoder, tokenizer, pairs, config, training.device)
        vectors = encode_texts(encoder, tokenizer, texts, config.max_tokens, training.device)
        return encoder.state_dict() | {"vectors": torch.from_numpy(vectors)}, {"loss": losses}

    key = fingerprint(training.data, training.split, config, training.seed, tokenizer.to_str())
    made = training.cache.get_or_make("text", key, make)
    weights, vectors = split_state(made.tensors)
    encoder.load_state_dict(weights)
    present = torch.tensor([bool(text) for text in texts], dtype=torch.float32)
    return TextResult(encoder.cpu().eval(), tokenizer, vectors, present, made.reused)


def image_stage(content: Content, config: ImageConfig, training: Training) -> ImageResult | None:
    """Train the image encoder and encode all items; nothing where no item has an image."""
    rows = [row for row, image in enumerate(content.images) if image]
    if not rows:
        return None
    torch.manual_seed(training.seed)
    encoder = ImageEncoder(config)

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        paths = tqdm([content.images[row] for row in rows], desc="reading images", unit="image", leave=False)
        pixels = np.stack([load_pixels(content.folder / str(path), config.width, config.height) for path in paths])
        names = sorted({name for row in content.categories for name in row})
        place = {name: column for column, name in enumerate(names)}
        target = np.zeros((len(rows), len(names)), dtype=np.int8)
        for line, row in enumerate(rows):
            target[line, [place[name] for name in content.categories[row]]] = 1
        losses = train_image_encoder(encoder, pixels, target, config, training.seed, training.device)
        vectors = np.zeros((len(content.images), config.dim), dtype=np.float32)
        vectors[rows] = encode_images(encoder, pixels, training.device)
        return encoder.state_dict() | {"vectors": torch.from_numpy(vectors)}, {"loss": losses}

    made = training.cache.get_or_make("image", fingerprint(training.data, config, training.seed), make)
    weights, vectors = split_state(made.tensors)
    encoder.load_state_dict(weights)
    present = torch.tensor([bool(image) for image in content.images], dtype=torch.float32)
    return ImageResult(encoder.cpu().eval(), vectors, present, made.reused)
