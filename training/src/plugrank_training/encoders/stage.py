"""Stage 1: text and image encoders, and the modal vectors they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from plugrank_training.config import NO_ENCODER, ImageConfig, TextConfig
from plugrank_training.data.mapped import read_mapped
from plugrank_training.data.vector_store import VectorStore, content_hash
from plugrank_training.distributed import is_main, wait
from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.pixels import load_pixels
from plugrank_training.encoders.pretrained_text import load_pretrained
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.tokenizer import item_text, train_tokenizer
from plugrank_training.encoders.torchvision_image import TorchvisionImage
from plugrank_training.encoders.train_image import encode_images, train_image_encoder
from plugrank_training.encoders.train_text import AnyText, PairDrawer, encode_texts, train_text_encoder
from plugrank_training.progress_bar import progress_bar
from plugrank_training.stage_cache import StageCache, fingerprint

AnyImage = ImageEncoder | TorchvisionImage
# Training rows that item pairs are drawn from.
PAIRED_ROWS = 1 << 22


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

    encoder: AnyText
    tokenizer: Tokenizer
    # f32 [items, dim], mapped from a file.
    vectors: np.ndarray
    present: Tensor
    reused: bool
    # Changes with the encoder's weights.
    version: str


@dataclass(frozen=True)
class ImageResult:
    """A trained image encoder and the vectors of all items."""

    encoder: AnyImage
    # f32 [items, dim], mapped from a file.
    vectors: np.ndarray
    present: Tensor
    reused: bool
    # Changes with the encoder's weights.
    version: str


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

    Rows are in order of time; of more than `PAIRED_ROWS` the newest are taken.
    """
    user, item, label = (column[-PAIRED_ROWS:] for column in (user, item, label))
    clicks = np.flatnonzero(label == 1)
    clicks = clicks[np.argsort(user[clicks], kind="stable")]
    found = [np.zeros((0, 2), dtype=np.int64)]
    for step in range(1, reach + 1):
        left, right = clicks[:-step], clicks[step:]
        same = user[left] == user[right]
        found.append(np.stack([item[left[same]], item[right[same]]], axis=1).astype(np.int64))
    return np.concatenate(found)


def text_stage(content: Content, config: TextConfig, training: Training) -> TextResult | None:
    """Train the text encoder and encode all items; nothing where no item has text, or none is to be read."""
    texts = content.texts()
    if config.encoder == NO_ENCODER or not any(texts):
        return None
    encoder, tokenizer = make_text_encoder([text for text in texts if text], config, training.seed)

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        random = np.random.default_rng(training.seed)
        pairs = PairDrawer(content.titles, content.descriptions, texts, training.clicked, random, config.halves)
        return encoder.state_dict(), {"loss": train_text_encoder(encoder, tokenizer, pairs, config, training.device)}

    # Frozen published weights are the same for every split and seed, and so are their vectors.
    frozen = config.encoder != "small" and config.steps == 0
    learned_from = () if frozen else (training.data, training.split, training.seed)
    key = fingerprint(*learned_from, config, tokenizer.to_str())
    made = training.cache.get_or_make("text", key, make)
    encoder.load_state_dict(made.tensors)
    return encoded_texts(
        texts, encoder, tokenizer, config, Place(training.cache.folder, key, training.device, made.reused)
    )


def image_stage(
    content: Content, config: ImageConfig, training: Training, text: TextResult | None
) -> ImageResult | None:
    """Train the image encoder and encode all items; nothing where no item has an image, or none is to be read.

    Raises `ValueError` where pictures are to tell texts, and no item has both.
    """
    rows = [row for row, image in enumerate(content.images) if image]
    if config.encoder == NO_ENCODER or not rows:
        return None
    encoder = make_image_encoder(config, training.seed)

    rows, targets = image_targets(content, config, rows, text)

    def make() -> tuple[dict[str, Tensor], dict[str, Any]]:
        paths = progress_bar([content.images[row] for row in rows], desc="reading images", unit="image")
        pixels = np.stack([load_pixels(content.folder / str(path), config.width, config.height) for path in paths])
        losses = train_image_encoder(encoder, pixels, targets, config, training.seed, training.device)
        return encoder.state_dict(), {"loss": losses}

    told = (text.version,) if text and config.objective == "text" else ()
    key = fingerprint(training.data, config, training.seed, *told)
    made = training.cache.get_or_make("image", key, make)
    encoder.load_state_dict(made.tensors)
    place = Place(training.cache.folder, key, training.device, made.reused)
    return encoded_images(content, encoder, config, place)


def image_targets(
    content: Content, config: ImageConfig, rows: list[int], text: TextResult | None
) -> tuple[list[int], np.ndarray]:
    """Items whose pictures train, and what each is to tell, `[items, width]`: 0/1 categories or the text's vector."""
    if config.objective == "text":
        kept = [row for row in rows if text and text.present[row]]
        if not kept or text is None:
            raise ValueError("image.objective = `text`: no item has both a text and an image")
        return kept, text.vectors[kept]
    names = sorted({name for row in content.categories for name in row})
    place = {name: column for column, name in enumerate(names)}
    member = np.zeros((len(rows), len(names)), dtype=np.int8)
    for line, row in enumerate(rows):
        member[line, [place[name] for name in content.categories[row]]] = 1
    return rows, member


@dataclass(frozen=True)
class Place:
    """Where vectors of one encoder are kept, and where they are computed."""

    folder: Path
    # Changes with the encoder's weights.
    version: str
    device: torch.device
    reused: bool


def encoded_texts(
    texts: Sequence[str], encoder: AnyText, tokenizer: Tokenizer, config: TextConfig, place: Place
) -> TextResult:
    """Vectors of all texts, from the store where they were made before."""
    keys = [content_hash(text.encode()) if text else None for text in texts]

    def encode(rows: list[int]) -> np.ndarray:
        chosen = [texts[row] for row in rows]
        return encode_texts(encoder, tokenizer, chosen, config.max_tokens, place.device)

    vectors = stored_vectors("text", encoder.dim, keys, encode, place)
    present = torch.tensor([key is not None for key in keys], dtype=torch.float32)
    return TextResult(encoder.cpu().eval(), tokenizer, vectors, present, place.reused, place.version)


def encoded_images(content: Content, encoder: AnyImage, config: ImageConfig, place: Place) -> ImageResult:
    """Vectors of all images, from the store where they were made before."""
    files = [content.folder / image if image else None for image in content.images]
    reading = progress_bar(files, desc="images", unit="image")
    keys = [content_hash(file.read_bytes()) if file else None for file in reading]

    def encode(rows: list[int]) -> np.ndarray:
        pixels = [load_pixels(Path(str(files[row])), config.width, config.height) for row in rows]
        return encode_images(encoder, np.stack(pixels), place.device)

    vectors = stored_vectors("image", config.dim, keys, encode, place)
    present = torch.tensor([key is not None for key in keys], dtype=torch.float32)
    return ImageResult(encoder.cpu().eval(), vectors, present, place.reused, place.version)


def stored_vectors(
    name: str, dim: int, keys: Sequence[bytes | None], encode: Callable[[list[int]], np.ndarray], place: Place
) -> np.ndarray:
    """Vectors in the order of `keys`, f32 `[keys, dim]`, mapped from a file: they need not fit in memory."""
    whole = place.folder / f"{name}-{place.version}-{fingerprint([key and key.hex() for key in keys])}.npy"
    if is_main() and not whole.is_file():
        store = VectorStore(place.folder, f"{name}-{place.version}", dim)
        store.fill(keys, encode, 256, f"{name} vectors")
        part = whole.with_suffix(".part")
        target = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(keys), dim))
        store.copy_into(target, keys)
        target.flush()
        part.replace(whole)
    wait()
    return read_mapped(whole)


def make_text_encoder(texts: Sequence[str], config: TextConfig, seed: int) -> tuple[AnyText, Tokenizer]:
    """Our own small encoder with a tokenizer of these texts and fresh weights, or the pre-trained one it names."""
    torch.manual_seed(seed)
    if config.encoder != "small":
        return load_pretrained(config.encoder)
    tokenizer = train_tokenizer(texts, config.vocabulary)
    torch.manual_seed(seed)
    return TextEncoder(tokenizer.get_vocab_size(), config), tokenizer


def known_text_encoder(tokenizer: Tokenizer, config: TextConfig) -> AnyText:
    """An encoder of that kind for a tokenizer that is there already; its weights are still to be loaded."""
    if config.encoder != "small":
        return load_pretrained(config.encoder)[0]
    return TextEncoder(tokenizer.get_vocab_size(), config)


def make_image_encoder(config: ImageConfig, seed: int) -> AnyImage:
    """Our own small encoder with fresh weights, or the torchvision network it names."""
    torch.manual_seed(seed)
    return ImageEncoder(config) if config.encoder == "small" else TorchvisionImage(config)
