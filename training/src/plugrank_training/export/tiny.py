"""A valid bundle with untrained weights over a made-up catalog: for tests of what loads and serves bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from plugrank_training.config import Config, ImageConfig, TextConfig
from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.tokenizer import train_tokenizer
from plugrank_training.export.bundle import Bundle, ImagePart, TextPart, export_bundle
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.din import Din
from plugrank_training.models.features import Feature
from plugrank_training.models.ppm import Ppm
from plugrank_training.models.schema import MAIN_TASK, Schema

ADJECTIVES = ("red", "blue", "light", "heavy", "soft", "bright", "quiet", "warm")
NOUNS = ("lamp", "chair", "shirt", "kettle", "book", "bag", "clock", "rug")
ITEMS, USERS = 60, 40


def tiny_texts() -> list[str]:
    """Titles and descriptions of the made-up items `i1`, `i2`, ..."""
    rows = []
    for number in range(ITEMS):
        adjective = ADJECTIVES[number % len(ADJECTIVES)]
        noun = NOUNS[(number // len(ADJECTIVES)) % len(NOUNS)]
        rows.append(f"{adjective} {noun}\nA {adjective} {noun} for every day, number {number + 1}.")
    return rows


def tiny_schema(text: TextConfig, image: ImageConfig) -> Schema:
    """Features of items `i1` to `i60` and users `u1` to `u40`."""
    item = (
        Feature.of("item_id", (f"i{n + 1}" for n in range(ITEMS))),
        Feature.of("categories", NOUNS, length=3),
        Feature.of("brand", ("acme", "globex", "initech")),
    )
    user = (
        Feature.of("user_id", (f"u{n + 1}" for n in range(USERS))),
        Feature.of("gender", ("f", "m")),
    )
    return Schema(item, user, (("text", text.dim), ("image", image.dim)), clicks=50, impressions=50)


def tiny_bundle(seed: int = 0) -> Bundle:
    """The bundle in memory."""
    torch.manual_seed(seed)
    config = Config()
    text = TextConfig(dim=24, layers=1, heads=2, vocabulary=300, max_tokens=24)
    image = ImageConfig(dim=8, width=24, height=32, channels=4)
    schema = tiny_schema(text, image)
    texts = tiny_texts()
    tokenizer = train_tokenizer(texts, text.vocabulary)
    parts = tuple(width for _, width in schema.parts)
    din = Din(schema.item, schema.user, config.host)
    unified = ClickModel(
        {"ppm": Ppm(parts, schema.item, config.ppm, config.history), "host": din},
        config.unified,
        config.history,
        rounds=True,
    )
    host = Din(schema.item, schema.user, config.host)
    idrec = ClickModel({"host": host}, config.unified, config.history, rounds=False)
    return Bundle(
        name="tiny",
        time="ms",
        schema=schema,
        unified=unified.eval(),
        idrec=idrec.eval(),
        text=TextPart(TextEncoder(tokenizer.get_vocab_size(), text).eval(), tokenizer, text.max_tokens, tuple(texts)),
        image=ImagePart(ImageEncoder(image).eval(), image),
        calibration={
            "unified": {MAIN_TASK: {"method": "platt", "a": 1.1, "b": -0.2}},
            "idrec": {MAIN_TASK: {"method": "isotonic", "x": [-2.0, 0.0, 2.0], "y": [0.1, 0.45, 0.9]}},
        },
        seed=seed,
    )


def export_tiny(out: Path, seed: int = 0) -> dict[str, Any]:
    """Write the bundle to `out`; gives its manifest."""
    return export_bundle(tiny_bundle(seed), out)
