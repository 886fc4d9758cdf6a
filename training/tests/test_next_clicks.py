"""Next-click pre-training and co-visits, on sequences that follow a rule: who clicks an item clicks the next one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from plugrank_training.config import Config, NextClickConfig
from plugrank_training.data.catalog import Catalog, make_catalog
from plugrank_training.data.click_sequences import ClickSequences
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.modal_vectors import ModalVectors
from plugrank_training.fit.batches import Dropping
from plugrank_training.fit.covisit_factors import covisit_factors, fill_covisits
from plugrank_training.fit.next_clicks import NextClickBatches, next_click_loss, train_next_clicks
from plugrank_training.models.build import make_idrec, make_pretrained, make_pretrained_sequence
from plugrank_training.models.covisits import Covisits
from plugrank_training.models.features import Feature
from plugrank_training.models.ppm import Ppm
from plugrank_training.models.schema import Schema
from shops import random_dataset

ITEMS, USERS, CLICKS, TRAIN = 40, 60, 16, 13
CONFIG = NextClickConfig(epochs=12, length=10, clicks=120, negatives=30, learning_rate=5e-3)


def ring() -> Dataset:
    """Every user walks round a ring of items from a place of their own."""
    walk = (np.arange(USERS)[:, None] * 7 + np.arange(CLICKS)) % ITEMS
    time, user = (part.T.ravel() for part in np.meshgrid(np.arange(CLICKS), np.arange(USERS)))
    return replace(
        random_dataset(0, USERS, ITEMS, time="order", negatives="matched"),
        user=user.astype(np.int32),
        item=walk[user, time].astype(np.int32),
        timestamp=time.astype(np.int64),
        label=np.ones(USERS * CLICKS, dtype=np.int8),
    )


@pytest.fixture(scope="module")
def sequences() -> ClickSequences:
    dataset = ring()
    return ClickSequences(HistoryIndex(dataset), Examples.of(dataset, np.flatnonzero(dataset.timestamp < TRAIN)))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    dataset = ring()
    ids = Feature.of("item_id", dataset.item_ids[:-1])
    schema = Schema((ids,), (Feature.of("user_id", dataset.user_ids),), (("text", 12),), 20, 1)
    vectors = torch.randn(ITEMS, 12, generator=torch.Generator().manual_seed(3))
    return make_catalog(dataset, schema, [vectors.numpy()], torch.ones(ITEMS, 1))


def make_ppm(catalog: Catalog) -> Ppm:
    return next(part for part in make_pretrained(catalog.schema, Config(), 0).parts() if isinstance(part, Ppm))


def test_sequences_end_at_the_training_cut(sequences: ClickSequences) -> None:
    assert len(sequences.item) == USERS * TRAIN
    assert sequences.item[:TRAIN].tolist() == list(range(TRAIN))
    assert sequences.clicked(np.array([0, 0]), np.array([TRAIN - 1, TRAIN])).tolist() == [True, False]


def test_a_pass_trains_every_click_and_masks_clicked_items(sequences: ClickSequences) -> None:
    random = np.random.default_rng(0)
    covered = np.zeros(len(sequences.item), dtype=bool)
    for first, end in sequences.chunks(CONFIG.length, random):
        assert len(set(sequences.user[first:end])) == 1
        covered[first + 1 : end] = True
    assert covered.reshape(USERS, TRAIN)[:, 1:].all()
    for batch in NextClickBatches(sequences, CONFIG, torch.device("cpu")).passes(random):
        for row, mask, mine in zip(batch.entries, batch.mask, batch.clicked, strict=True):
            assert mine[torch.isin(batch.negatives, row[mask > 0])].all()


@torch.no_grad()
def test_one_pass_gives_the_state_at_every_position(catalog: Catalog) -> None:
    ppm = make_ppm(catalog).eval()
    vectors, told, mask = torch.randn(2, 9, 32), torch.ones(2, 9, dtype=torch.long), torch.ones(2, 9)
    whole = ppm.states(vectors, told, told, mask)
    for place in (1, 4, 8):
        later = ppm.states(vectors[:, place:], told[:, place:], told[:, place:], mask[:, place:])
        assert torch.allclose(whole[:, place], later[:, 0], atol=1e-5)


def test_next_clicks_are_learned_from_content_alone(sequences: ClickSequences, catalog: Catalog) -> None:
    ppm = make_ppm(catalog)
    result = train_next_clicks(ppm, catalog, sequences, CONFIG, Dropping(), seed=0)
    assert result.train_loss[-1] < 0.5 * result.train_loss[0]
    assert result.rows > CONFIG.epochs * USERS * (TRAIN - 1)
    again = make_ppm(catalog)
    train_next_clicks(again, catalog, sequences, CONFIG, Dropping(), seed=0)
    batch = next(NextClickBatches(sequences, CONFIG, torch.device("cpu")).passes(np.random.default_rng(1)))
    with torch.no_grad():
        losses = [next_click_loss(model, catalog, batch, Dropping()) for model in (ppm, again)]
    assert losses[0] == losses[1]


def test_next_clicks_are_learned_from_ids_alone(sequences: ClickSequences, catalog: Catalog) -> None:
    model = make_pretrained_sequence(catalog.schema, Config(), 0)
    sequence = next(part for part in model.parts() if isinstance(part, Ppm))
    result = train_next_clicks(sequence, catalog, sequences, CONFIG, Dropping(), seed=0)
    assert result.train_loss[-1] < 0.5 * result.train_loss[0]
    batch = next(NextClickBatches(sequences, CONFIG, torch.device("cpu")).passes(np.random.default_rng(1)))
    # Other content changes nothing; other ids do.
    noise = torch.randn(ITEMS, 12, generator=torch.Generator().manual_seed(9))
    elsewhere = replace(catalog, modal=ModalVectors([noise.numpy()]))
    shuffled = replace(catalog, item_ids={"item_id": catalog.item_ids["item_id"].flip(0)})
    with torch.no_grad():
        known, content, ids = (
            next_click_loss(sequence, one, batch, Dropping()) for one in (catalog, elsewhere, shuffled)
        )
    assert content == known
    assert ids > known + 1.0


def test_covisit_factors_place_co_clicked_items_nearby(sequences: ClickSequences, catalog: Catalog) -> None:
    start, end = covisit_factors(sequences, ITEMS, reach=2, dim=16)
    near = np.diag(np.roll(start @ end.T, -1, axis=1))
    far = np.diag(np.roll(start @ end.T, -ITEMS // 2, axis=1))
    assert near.min() > far.max()
    model = make_idrec(catalog.schema, replace(Config(), covisits=replace(Config().covisits, dim=16)), 0)
    fill_covisits(model, catalog, (start, end))
    part = next(part for part in model.parts() if isinstance(part, Covisits))
    # Ids 0 and 1 are "missing" and "other"; the last item has no id of its own.
    assert not part.factor_to[:2].any()
    assert np.allclose(part.factor_to[2:].numpy(), end[:-1])


def test_a_catalog_without_clicks_has_empty_covisits() -> None:
    dataset = ring()
    nothing = ClickSequences(HistoryIndex(dataset), Examples.of(dataset, np.zeros(0, dtype=np.int64)))
    start, end = covisit_factors(nothing, ITEMS, reach=3, dim=4)
    assert start.shape == end.shape == (ITEMS, 4)
    assert not start.any()
    assert not end.any()
