"""The tokenizer of the text encoder: byte pair encoding within words, trained on the catalog."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

PAD, UNKNOWN, START = "[PAD]", "[UNK]", "[CLS]"


def item_text(title: str | None, text: str | None) -> str:
    """What the encoder reads of an item: title, line break, text, each trimmed, empty ones left out."""
    return "\n".join(part for part in ((title or "").strip(), (text or "").strip()) if part)


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of at most `vocabulary` pieces; id 0 is padding.

    Pairs are merged within lower-case words. (The WordPiece trainer numbers its first pieces in a random order, so
    two runs give two tokenizers; this one repeats.) Its only special token stands first, so cutting at a length is the
    same before and after special tokens are set.
    """
    tokenizer = Tokenizer(BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    trainer = BpeTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, UNKNOWN, START], show_progress=False, min_frequency=1
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, tokenizer.token_to_id(START))]
    )
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask, int64 `[texts, longest]`, cut at `max_tokens`, padded with id 0 and mask 0."""
    encoded = [entry.ids[:max_tokens] for entry in tokenizer.encode_batch(list(texts))]
    width = max([1, *(len(ids) for ids in encoded)])
    ids = np.zeros((len(encoded), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask
