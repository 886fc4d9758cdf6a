"""Recent clicks of items: counts at any time, and the model's input made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plugrank_training.config import Config, load_config
from plugrank_training.data.catalog import item_features, make_catalog, user_features
from plugrank_training.data.content_vectors import unit_rows
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.recent_clicks import DAY_MS, SMOOTHING, RecentClicks
from plugrank_training.feature_config import ConfigError
from plugrank_training.fit.batches import Batcher, encode_batch, score_encoded
from plugrank_training.fit.list_negatives import ListNegatives
from plugrank_training.fit.train import Dropping, drawn_losses
from plugrank_training.models.build import make_idrec
from plugrank_training.models.recent_clicks import RECENT, RecentPopularity
from plugrank_training.models.schema import Schema
from shops import random_dataset

HALF_LIVES = (0.5, 3.0)


def test_counts_are_those_of_a_loop_over_all_clicks() -> None:
    random = np.random.default_rng(0)
    data = random_dataset(0)
    # Days apart, several at one time, and of another type than int64, as a data set has them.
    times = np.sort(random.integers(0, 30, data.rows)) * (DAY_MS // 4)
    data = replace(data, timestamp=times.astype(np.int64), item=data.item.astype(np.int32))
    items = len(data.item_ids)
    recent = RecentClicks(data, HALF_LIVES, np.array([2]))
    rows = random.integers(0, items, (3, 40)).astype(np.int32)
    moments = random.integers(-DAY_MS, 10 * DAY_MS, rows.shape)
    moments[0, :20] = times[:20]
    found = recent.at(rows, moments)
    assert found.shape == (3, 40, 2)
    assert found.dtype == np.float32
    clicked = (data.label == 1) & (data.item != 2)
    for place in np.ndindex(rows.shape):
        for column, days in enumerate(HALF_LIVES):
            earlier = clicked & (times < moments[place])
            weight = np.exp2(-(moments[place] - times[earlier]) / (days * DAY_MS))
            own = weight[data.item[earlier] == rows[place]].sum()
            share = (own + SMOOTHING) / (weight.sum() + SMOOTHING * items) * items
            assert abs(found[(*place, column)] - np.log(share)) < 1e-4


def test_an_order_of_clicks_has_no_half_lives() -> None:
    data = random_dataset(0)
    with pytest.raises(ValueError, match="an order, not times"):
        RecentClicks(replace(data, meta=replace(data.meta, time="order")), (30.0,))


def test_candidates_have_the_shares_of_their_own_time() -> None:
    data = random_dataset(3)
    # A click some days after another.
    data = replace(data, timestamp=data.timestamp * (DAY_MS // 700))
    host = replace(Config().host, recent_clicks_days=HALF_LIVES, min_count=1)
    config = replace(Config(), host=host)
    part = Examples.of(data, slice(None))
    schema = Schema(item_features(data, part, config), user_features(data, part, config), (("text", 3),), 5, 5)
    count = len(data.item_ids)
    catalog = make_catalog(data, schema, [np.ones((count, 3), np.float32)], torch.ones(count, 1))
    model = make_idrec(schema, config, 0).eval()
    branch = next(part for part in model.parts() if isinstance(part, RecentPopularity))
    recent = RecentClicks(data, HALF_LIVES)
    batcher = Batcher(part, HistoryIndex(data, 5, 5), 4, 64, torch.device("cpu"))
    batcher.recent = recent
    vectors = unit_rows(np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32))
    config = replace(config, lists=replace(config.lists, share=0.5, negatives=6))
    batcher.negatives = ListNegatives(part, data.categories, vectors, config.lists)
    batch = next(batcher.passes(None))
    assert batch.recent is not None
    assert batch.drawn is not None
    assert batch.drawn.recent is not None
    # As the bundle has them, at one moment: the same scores as from shares of the batch that are all of that moment.
    end = int(data.timestamp[-1]) + 1
    branch.fill(catalog.item_ids["item_id"], recent.latest(data))
    encoded = encode_batch(model, catalog, batch, Dropping())
    items, drawn = batch.items[batch.candidates].numpy(), batch.items[batch.drawn.places].numpy()
    assert np.array_equal(
        batch.drawn.recent.numpy(),
        recent.at(drawn, np.broadcast_to(part.timestamp[batch.example[batch.drawn.lists, :1]], drawn.shape)),
    )
    late = torch.from_numpy(recent.at(items, np.full(items.shape, end)))
    served = score_encoded(model, encoded, replace(batch, recent=None))
    assert torch.allclose(served, score_encoded(model, encoded, replace(batch, recent=late)), atol=1e-5)
    assert not torch.allclose(served, score_encoded(model, encoded, batch), atol=1e-2)
    # The last half-life's share is the log-odds to begin with.
    with torch.no_grad():
        before = score_encoded(model, encoded, batch)
        model.trust_recent()
        moved = (score_encoded(model, encoded, batch) - before)[..., 0]
        assert torch.allclose(moved, batch.recent[..., 1], atol=0.2)
    logit = score_encoded(model, encoded, batch)[..., 0]
    without = replace(batch.drawn, recent=None)
    assert not torch.allclose(
        drawn_losses(model, encoded, batch.drawn, logit), drawn_losses(model, encoded, without, logit)
    )


def test_unknown_items_count_as_never_clicked() -> None:
    branch = RecentPopularity(5, 1)
    branch.fill(torch.tensor([2, 1, 4]), np.array([[3.0], [-1.0], [0.5]], dtype=np.float32))
    assert branch.log_share[:, 0].tolist() == [-1.0, -1.0, 3.0, -1.0, 0.5]
    assert branch.candidate_outputs == (RECENT,)


def test_half_lives_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[host]\nrecent_clicks_days = [120, 30.5]\n")
    assert load_config(file).host.recent_clicks_days == (120.0, 30.5)
    file.write_text("[host]\nrecent_clicks_days = [0]\n")
    with pytest.raises(ConfigError, match=r"host\.recent_clicks_days: half-lives must be above 0"):
        load_config(file)
    file.write_text('[host]\nrecent_clicks_days = ["30"]\n')
    with pytest.raises(ConfigError, match=r"`host\.recent_clicks_days` must be of type float"):
        load_config(file)
