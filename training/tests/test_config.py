"""Configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugrank_training.config import Config, load_config
from plugrank_training.feature_config import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_valid() -> None:
    Config().check()
    Config().quick().check()
    assert load_config(None) == Config()


def test_a_file_overrides_single_keys(tmp_path: Path) -> None:
    text = 'calibration = "isotonic"\n[ppm]\nlearning_rate = 1\n[unified]\nfreeze = ["ppm.projection"]\n'
    config = load_config(written(tmp_path, text))
    assert config.calibration == "isotonic"
    assert config.ppm.learning_rate == 1.0
    assert config.unified.freeze == ("ppm.projection",)
    assert config.text == Config().text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[ppm]\ndims = 3\n", "ppm.dims"),
        ("speed = 3\n", "speed"),
        ("[text]\nlayers = 1.5\n", "text.layers"),
        ("[text]\nlayers = true\n", "text.layers"),
        ("[text]\nlayers = 0\n", "text.layers"),
        ("[unified]\ndropout = 2\n", "unified.dropout"),
        ("[ppm]\nwindow = 0.0\n", "ppm.window"),
        ("[text]\ndim = 63\n", "text.dim"),
        ("text = 3\n", "text"),
        ('[text]\nencoder = "none"\n[image]\nencoder = "none"\n', "cannot both be `none`"),
        ("[unified]\nranking = 1.5\n", "unified.ranking"),
        ('calibration = "magic"\n', "calibration"),
        ("[unified]\nfreeze = [1]\n", "unified.freeze"),
        ('[retrieval]\nshare = 0.1\n[unified]\nfreeze = ["ppm.projection"]\n', "retrieval.share"),
        ("[ppm\n", "TOML"),
    ],
)
def test_invalid_configurations_are_named(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load_config(written(tmp_path, text))


def test_shipped_configurations_are_valid() -> None:
    files = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))
    assert files
    for file in files:
        load_config(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")
