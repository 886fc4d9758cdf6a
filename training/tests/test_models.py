"""The click models: cached values, padding, missing items."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from plugrank_training.config import Config, SimilarityConfig
from plugrank_training.data.raw_column import Words
from plugrank_training.export.tiny import tiny_schema
from plugrank_training.models.build import make_idrec, make_pretrained, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.features import MISSING, OTHER, Feature
from plugrank_training.models.inputs import ItemInputs, Named
from plugrank_training.models.schema import Schema

ITEMS = 20


def schema() -> Schema:
    return tiny_schema(Config().text, Config().image)


def items(made: Schema, seed: int = 0) -> ItemInputs:
    torch.manual_seed(seed)
    ids = {f.name: torch.randint(0, f.size, (ITEMS,) if f.length == 1 else (ITEMS, f.length)) for f in made.item}
    return ItemInputs(torch.randn(ITEMS, made.modal_dim), torch.ones(ITEMS, len(made.parts)), ids)


def users(made: Schema, count: int, seed: int = 1) -> Named:
    torch.manual_seed(seed)
    return {f.name: torch.randint(0, f.size, (count,)) for f in made.user}


def trained_like(model: ClickModel) -> ClickModel:
    """Random weights everywhere: parts that start at zero would hide mistakes."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def gather(made: Named, places: Tensor) -> Named:
    return {name: value[places] for name, value in made.items()}


@pytest.fixture(params=["unified", "similarity", "idrec"])
def model(request: pytest.FixtureRequest) -> ClickModel:
    make = make_idrec if request.param == "idrec" else make_unified
    config = Config(similarity=SimilarityConfig(dim=8 if request.param == "similarity" else 0))
    return trained_like(make(schema(), config, 0))


def score(model: ClickModel, history: Tensor, label: Tensor, age: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
    made = model.encode_items(items(schema()))
    state = model.encode_users(gather(made, history), label, age, mask, users(schema(), len(history)))
    return model.score(state, gather(made, candidates), torch.arange(len(history)) + 3)


@torch.no_grad()
def test_padding_changes_nothing(model: ClickModel) -> None:
    history = torch.randint(0, ITEMS, (3, 7))
    label, age = torch.randint(0, 2, (3, 7)), torch.randint(1, 30, (3, 7))
    candidates = torch.randint(0, ITEMS, (3, 4))
    plain = score(model, history, label, age, torch.ones(3, 7), candidates)
    wide = torch.nn.functional.pad
    mask = wide(torch.ones(3, 7), (0, 5))
    # Padding holds arbitrary items and labels on purpose: only the mask may tell.
    more, told = wide(history, (0, 5), value=3), wide(label, (0, 5), value=1)
    padded = score(model, more, told, wide(age, (0, 5)), mask, candidates)
    assert torch.allclose(plain, padded, atol=1e-5)


@torch.no_grad()
def test_a_user_scores_the_same_alone_and_in_a_batch(model: ClickModel) -> None:
    history = torch.randint(0, ITEMS, (4, 6))
    label, age, mask = torch.randint(0, 2, (4, 6)), torch.randint(1, 30, (4, 6)), torch.ones(4, 6)
    candidates = torch.randint(0, ITEMS, (4, 3))
    together = score(model, history, label, age, mask, candidates)
    alone = score(model, history[:1], label[:1], age[:1], mask[:1], candidates[:1, :1])
    assert torch.allclose(together[:1, :1], alone, atol=1e-5)


@torch.no_grad()
def test_empty_history_is_finite_and_labels_matter(model: ClickModel) -> None:
    history = torch.randint(0, ITEMS, (2, 5))
    age, candidates = torch.ones(2, 5, dtype=torch.long), torch.randint(0, ITEMS, (2, 3))
    label = torch.tensor([[1, 0, 1, 0, 1]] * 2)
    empty = score(model, history, label, age, torch.zeros(2, 5), candidates)
    assert torch.isfinite(empty).all()
    clicked = score(model, history, label, age, torch.ones(2, 5), candidates)
    refused = score(model, history, 1 - label, age, torch.ones(2, 5), candidates)
    assert (clicked - refused).abs().min() > 1e-4


@torch.no_grad()
def test_evaluation_rounds_what_is_cached_in_f16() -> None:
    model = trained_like(make_unified(schema(), Config(cache_dtype="f16"), 0))
    made = model.encode_items(items(schema()))
    assert all(torch.equal(value, value.half().float()) for value in made.values())
    exact = trained_like(make_unified(schema(), Config(), 0)).encode_items(items(schema()))
    assert not torch.equal(exact["item_vector"], made["item_vector"])
    assert torch.allclose(exact["item_vector"], made["item_vector"], atol=1e-3)
    model.train()
    assert not torch.equal(model.encode_items(items(schema()))["item_vector"], made["item_vector"])


@torch.no_grad()
def test_a_missing_item_has_the_learned_missing_vector() -> None:
    model = trained_like(make_unified(schema(), Config(), 0))
    given = items(schema())
    known = {name: ids if name == "item_id" else ids * 0 for name, ids in given.features.items()}
    gone = ItemInputs(torch.zeros_like(given.modal), torch.zeros_like(given.present), known)
    vectors = model.encode_items(gone)["item_vector"]
    assert torch.equal(vectors, vectors[:1].expand_as(vectors))
    assert not torch.allclose(vectors, model.encode_items(given)["item_vector"], atol=1e-2)
    # What lies in an absent part's place is not read.
    noise = ItemInputs(torch.randn_like(given.modal), torch.zeros_like(given.present), known)
    assert torch.equal(model.encode_items(noise)["item_vector"], vectors)


def test_feature_ids_follow_the_bundle_format() -> None:
    brand = Feature.of("brand", ["acme", "globex"])
    assert brand.encoder(Words.of(["globex", "acme", "?", "", None]))(slice(None)).tolist() == [
        3,
        2,
        OTHER,
        MISSING,
        MISSING,
    ]
    tags = Feature.of("tags", ["a", "b"], length=2)
    assert tags.encoder(Words.of([["b"], ["a", "x", "b"], []]))(slice(None)).tolist() == [[3, 0], [2, 1], [0, 0]]


@torch.no_grad()
def test_a_plugged_in_model_starts_from_the_pretrained_one() -> None:
    pretrained = trained_like(make_pretrained(schema(), Config(), 0))
    fresh, plugged = (make_unified(schema(), Config(), 1).eval() for _ in range(2))
    plugged.start_from(pretrained)
    history, candidates = torch.randint(0, ITEMS, (6, 8)), torch.randint(0, ITEMS, (6, 9))
    label, age, mask = torch.randint(0, 2, (6, 8)), torch.randint(1, 30, (6, 8)), torch.ones(6, 8)
    wanted, far, near = (score(m, history, label, age, mask, candidates) for m in (pretrained, fresh, plugged))
    assert (near - wanted).std() < 0.5 * (far - wanted).std()
