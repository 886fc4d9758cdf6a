"""Contrastive training of the text encoder (SimCSE, arXiv 2104.08821): in-batch negatives, symmetric."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer
from torch import Tensor

from plugrank_training.config import TextConfig
from plugrank_training.encoders.pretrained_text import PretrainedText
from plugrank_training.encoders.text_encoder import TextEncoder
from plugrank_training.encoders.tokenizer import tokenize
from plugrank_training.progress_bar import progress_bar

AnyText = TextEncoder | PretrainedText
SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")


def contrastive_loss(left: Tensor, right: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross entropy of each left among all rights, and the other way round.

    `left`, `right` `[batch, dim]`; `keys [batch, 2]` name the items of a pair: a pair that shares an item with
    another is no negative of it.
    """
    scores = functional.normalize(left, dim=-1) @ functional.normalize(right, dim=-1).T / temperature
    shared = (keys[:, None, :, None] == keys[None, :, None, :]).flatten(2).any(-1)
    shared.fill_diagonal_(False)
    scores = scores.masked_fill(shared, -1e4)
    target = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)) / 2


class PairDrawer:
    """Draws text pairs: title and description of one item, or two halves of its sentences, or two items clicked by one
    user close in time.

    Halves (Lee et al., arXiv 1906.00300, in spirit) make every sentence tell of the others, not the title alone.
    """

    def __init__(
        self,
        titles: Sequence[str],
        descriptions: Sequence[str],
        texts: Sequence[str],
        clicked: np.ndarray,
        random: np.random.Generator,
        halves: float = 0.0,
    ) -> None:
        self.halves = halves
        self.titles, self.descriptions, self.texts = titles, descriptions, texts
        has_both = [bool(t) and bool(d) for t, d in zip(titles, descriptions, strict=True)]
        self.both = np.flatnonzero(np.array(has_both, dtype=bool))
        has_text = np.array([bool(text) for text in texts], dtype=bool)
        keep = has_text[clicked].all(axis=1) & (clicked[:, 0] != clicked[:, 1])
        self.clicked = clicked[keep]
        self.random = random

    def possible(self) -> bool:
        """Whether there are pairs to contrast."""
        return len(self.both) + len(self.clicked) > 1

    def draw(self, batch: int, clicked_share: float) -> tuple[list[str], list[str], np.ndarray]:
        """Left texts, right texts and the items of each pair `[batch, 2]`."""
        share = clicked_share if len(self.both) else 1.0
        count = round(batch * share) if len(self.clicked) else 0
        pairs = self.clicked[self.random.integers(0, len(self.clicked), count)] if count else np.zeros((0, 2), np.int64)
        own = self.random.choice(self.both, batch - count) if batch > count else np.zeros(0, np.int64)
        left = [self.texts[item] for item in pairs[:, 0].tolist()] + [self.titles[item] for item in own.tolist()]
        right = [self.texts[item] for item in pairs[:, 1].tolist()] + [self.descriptions[item] for item in own.tolist()]
        cut = self.random.random(len(own)) < self.halves if self.halves else np.zeros(len(own), dtype=bool)
        for place in np.flatnonzero(cut).tolist():
            left[count + place], right[count + place] = self.two_halves(self.texts[own[place]])
        return left, right, np.concatenate([pairs, np.stack([own, own], axis=1)]).astype(np.int64)

    def two_halves(self, text: str) -> tuple[str, str]:
        """Each sentence of a text in one of two parts, at random, neither empty; words, where there is one sentence."""
        pieces = SENTENCE_ENDS.split(text)
        if len(pieces) < 2:
            pieces = text.split()
        order = self.random.permutation(len(pieces))
        first = int(self.random.integers(1, max(2, len(pieces))))
        parts = np.sort(order[:first]).tolist(), np.sort(order[first:]).tolist()
        left, right = (" ".join(pieces[place] for place in part) for part in parts)
        return left, right or left


def train_text_encoder(
    encoder: AnyText,
    tokenizer: Tokenizer,
    pairs: PairDrawer,
    config: TextConfig,
    device: torch.device,
) -> list[float]:
    """Train in place; gives the loss of every step."""
    losses: list[float] = []
    if not pairs.possible() or config.steps == 0:
        return losses
    encoder.to(device).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=max(config.steps, 1))
    bar = progress_bar(range(config.steps), desc="text encoder", unit="step")
    for _ in bar:
        left, right, keys = pairs.draw(config.batch, config.clicked_pairs)
        vectors = []
        for side in (left, right):
            ids, mask = tokenize(tokenizer, side, config.max_tokens)
            vectors.append(encoder(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)))
        loss = contrastive_loss(vectors[0], vectors[1], torch.from_numpy(keys).to(device), config.temperature)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    encoder.eval()
    return losses


@torch.no_grad()
def encode_texts(
    encoder: AnyText,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    max_tokens: int,
    device: torch.device,
) -> np.ndarray:
    """Vectors of texts, f32 `[texts, dim]`; an empty text has zeros."""
    encoder.to(device).eval()
    vectors = np.zeros((len(texts), encoder.dim), dtype=np.float32)
    rows = sorted((row for row, text in enumerate(texts) if text), key=lambda row: len(texts[row]))
    for start in progress_bar(range(0, len(rows), 256), desc="texts", unit="batch"):
        chosen = rows[start : start + 256]
        ids, mask = tokenize(tokenizer, [texts[row] for row in chosen], max_tokens)
        made = encoder(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
        vectors[chosen] = made.cpu().numpy()
    return vectors
