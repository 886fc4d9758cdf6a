"""Text and image encoders: inputs, learning, determinism."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from plugrank_training.config import ImageConfig, TextConfig
from plugrank_training.encoders.image_encoder import ImageEncoder
from plugrank_training.encoders.pixels import load_pixels, normalise
from plugrank_training.encoders.stage import clicked_pairs
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.tokenizer import item_text, tokenize, train_tokenizer
from plugrank_training.encoders.train_image import encode_images, train_image_encoder
from plugrank_training.encoders.train_text import PairDrawer, contrastive_loss, encode_texts, train_text_encoder

CPU = torch.device("cpu")
COLOURS = ("red", "green", "blue", "white")
TITLES = [f"{COLOURS[n % 4]} {('lamp', 'chair', 'bag')[n % 3]}" for n in range(48)]
DESCRIPTIONS = [f"All of it is {COLOURS[n % 4]}, model {n}." for n in range(48)]
TEXTS = [item_text(*pair) for pair in zip(TITLES, DESCRIPTIONS, strict=True)]


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [("  A ", " b\n", "A\nb"), ("A", "", "A"), (None, " b", "b"), ("", None, ""), (" ", "\n", "")],
)
def test_item_text_follows_the_dataset_format(title: str | None, text: str | None, expected: str) -> None:
    assert item_text(title, text) == expected


def test_tokenizer_is_deterministic_and_truncates_like_the_tokenizers_library() -> None:
    first, second = (train_tokenizer(TEXTS, 120) for _ in range(2))
    assert first.to_str() == second.to_str()
    ids, mask = tokenize(first, [TEXTS[0], "red", ""], 6)
    assert ids.shape == (3, 6)
    assert ids[0].tolist() == first.encode(TEXTS[0]).ids[:6]
    assert ids[1].tolist()[:2] == [first.token_to_id("[CLS]"), first.token_to_id("red")]
    assert mask.tolist()[1:] == [[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert np.all(ids[mask == 0] == 0)
    first.enable_truncation(6)
    assert first.encode(TEXTS[0]).ids == ids[0].tolist()


def test_clicked_pairs_are_of_one_user_and_close() -> None:
    user = np.array([0, 1, 0, 0, 1, 0])
    item = np.array([10, 20, 11, 12, 21, 13])
    label = np.array([1, 1, 0, 1, 1, 1])
    pairs = {tuple(pair) for pair in clicked_pairs(user, item, label, reach=1).tolist()}
    assert pairs == {(10, 12), (12, 13), (20, 21)}
    assert (10, 13) in {tuple(pair) for pair in clicked_pairs(user, item, label, reach=2).tolist()}


def test_pairs_that_share_an_item_are_not_negatives() -> None:
    torch.manual_seed(0)
    left, right = torch.randn(3, 4), torch.randn(3, 4)
    apart = contrastive_loss(left, right, torch.tensor([[0, 1], [2, 3], [4, 5]]), 0.1)
    all_alike = contrastive_loss(left, right, torch.tensor([[0, 1], [1, 3], [3, 0]]), 0.1)
    assert apart > 0.01
    assert all_alike < 1e-4


def trained_text() -> tuple[list[float], np.ndarray]:
    config = TextConfig(
        dim=16, layers=1, heads=2, vocabulary=120, max_tokens=12, steps=60, batch=16, learning_rate=5e-3
    )
    tokenizer = train_tokenizer(TEXTS, config.vocabulary)
    torch.manual_seed(0)
    encoder = TextEncoder(tokenizer.get_vocab_size(), config)
    pairs = PairDrawer(TITLES, DESCRIPTIONS, TEXTS, np.zeros((0, 2), np.int64), np.random.default_rng(0))
    losses = train_text_encoder(encoder, tokenizer, pairs, config, CPU)
    return losses, encode_texts(encoder, tokenizer, [*TEXTS, ""], config.max_tokens, CPU)


def test_text_encoder_learns_and_is_deterministic() -> None:
    losses, vectors = trained_text()
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.3
    assert np.all(vectors[-1] == 0)
    assert np.allclose(np.linalg.norm(vectors[:-1], axis=1), 4.0, atol=1e-3)
    alike = vectors[:-1] @ vectors[:-1].T
    colour = np.arange(48) % 4
    same = colour[:, None] == colour[None, :]
    np.fill_diagonal(same, False)
    other = colour[:, None] != colour[None, :]
    assert alike[same].mean() > alike[other].mean() + 1.0
    assert np.array_equal(trained_text()[1], vectors)


def test_text_halves_contain_every_sentence_once() -> None:
    text = "A red chair. It is wide! Who likes it? You."
    pairs = PairDrawer(["A red chair"], [text], [text], np.zeros((0, 2), np.int64), np.random.default_rng(0), 1.0)
    found = set()
    for _ in range(100):
        (left,), (right,), _ = pairs.draw(1, 0.0)
        assert left
        assert right
        # Each sentence is in one of both, in the order of the text.
        assert sorted(len(part.split()) for part in (left, right)) != [0, 10]
        assert sorted(f"{left} {right}".split()) == sorted(text.split())
        found.add(left)
    assert len(found) == 14
    assert pairs.two_halves("red chair") in {("red", "chair"), ("chair", "red")}
    assert pairs.two_halves("red") == ("red", "red")


def test_without_pairs_the_text_encoder_is_unchanged() -> None:
    config = TextConfig(dim=16, heads=2)
    encoder = TextEncoder(10, config)
    before = encoder.out.weight.clone()
    pairs = PairDrawer(["a"], [""], ["a"], np.zeros((0, 2), np.int64), np.random.default_rng(0))
    assert train_text_encoder(encoder, train_tokenizer(["a"], 50), pairs, config, CPU) == []
    assert torch.equal(before, encoder.out.weight)


def test_pixels_equal_those_of_pillow(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (40, 30, 4), dtype=np.uint8), "RGBA")
    picture.save(tmp_path / "a.png")
    pixels = load_pixels(tmp_path / "a.png", 12, 16)
    assert pixels.shape == (3, 16, 12)
    expected = np.asarray(picture.convert("RGB").resize((12, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels, expected.transpose(2, 0, 1))
    assert np.allclose(normalise([np.full((3, 2, 2), 255, np.uint8)]), (1.0 - 0.5) / 0.25)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"bad\.jpg.*repair it"):
        load_pixels(tmp_path / "bad.jpg", 8, 8)


def test_image_encoder_learns_categories() -> None:
    random = np.random.default_rng(0)
    label = np.arange(64) % 2
    pixels = random.integers(0, 100, (64, 3, 16, 12), dtype=np.uint8)
    pixels[label == 1, 0] += 120
    categories = np.stack([label, 1 - label], axis=1).astype(np.int8)
    config = ImageConfig(dim=8, width=12, height=16, channels=4, epochs=10, batch=16)
    torch.manual_seed(0)
    encoder = ImageEncoder(config)
    losses = train_image_encoder(encoder, pixels, categories, config, 0, CPU)
    assert losses[-1] < losses[0] / 2
    vectors = encode_images(encoder, pixels, CPU)
    assert vectors.shape == (64, 8)
    centre = [vectors[label == side].mean(0) for side in (0, 1)]
    nearest = np.linalg.norm(vectors - centre[1], axis=1) < np.linalg.norm(vectors - centre[0], axis=1)
    assert np.mean(nearest == (label == 1)) > 0.95


def test_image_encoder_learns_from_text_vectors() -> None:
    random = np.random.default_rng(0)
    kind = np.arange(96) % 3
    pixels = random.integers(0, 100, (96, 3, 16, 12), dtype=np.uint8)
    for channel in range(3):
        pixels[kind == channel, channel] += 120
    # Vectors of texts of a kind are near one direction, which is in no category.
    texts = (np.eye(8)[kind] * 4 + random.normal(size=(96, 8)) * 0.1).astype(np.float32)
    config = ImageConfig(dim=8, width=12, height=16, channels=4, epochs=15, batch=24, objective="text")
    torch.manual_seed(0)
    encoder = ImageEncoder(config)
    losses = train_image_encoder(encoder, pixels, texts, config, 0, CPU)
    # A picture identifies the kind, which a third of the batch shares.
    assert losses[0] > np.log(16) > losses[-1]
    vectors = encode_images(encoder, pixels, CPU) / 8**0.5
    alike = vectors @ vectors.T
    same = kind[:, None] == kind[None, :]
    assert alike[same].mean() > alike[~same].mean() + 0.5
