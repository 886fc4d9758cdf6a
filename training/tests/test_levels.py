"""What items' and users' own click rates add to the logit: known at any moment, and there from the start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from plugrank_training.config import Config, CovisitConfig, HostConfig, UnifiedConfig
from plugrank_training.data.catalog import item_features, make_catalog, user_features
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.recent_clicks import DAY_MS, LOG_SCALE, SHRINK, ClickRates, RecentClicks
from plugrank_training.export.tiny import tiny_bundle
from plugrank_training.fit.batches import Batcher, Dropping, encode_batch, score_encoded
from plugrank_training.models.build import make_idrec, make_pretrained, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.habits import LEVEL_SHRINK, UserLevel
from plugrank_training.models.inputs import ItemInputs
from plugrank_training.models.recent_clicks import RecentPopularity
from plugrank_training.models.schema import LIST_TASK, Schema
from shops import random_dataset


def log_odds(rate: float) -> float:
    return float(np.log(rate / (1.0 - rate)))


def test_rates_are_those_of_a_loop_over_all_impressions() -> None:
    random = np.random.default_rng(0)
    data = random_dataset(0)
    hidden = np.array([2])
    rates = ClickRates(data, hidden)
    rows = random.integers(0, len(data.item_ids), (3, 40)).astype(np.int32)
    moments = random.choice(np.append(data.timestamp, [data.timestamp[0] - 5, data.timestamp[-1] + 5]), rows.shape)
    found = rates.at(rows, moments)
    kept = data.item != 2
    for place in np.ndindex(rows.shape):
        earlier = kept & (data.timestamp < moments[place])
        own = earlier & (data.item == rows[place])
        base = (data.label[earlier].sum() + 1) / (earlier.sum() + 2)
        rate = (data.label[own].sum() + SHRINK * base) / (own.sum() + SHRINK)
        assert abs(found[(*place, 0)] - (log_odds(rate) - log_odds(base))) < 1e-5
        assert abs(found[(*place, 1)] - LOG_SCALE * np.log1p(own.sum())) < 1e-6
    assert np.array_equal(rates.at(np.array([2]), data.timestamp[-1:]), np.zeros((1, 2), np.float32))


def test_rates_stand_before_shares_of_clicks() -> None:
    data = random_dataset(0)
    both, shares = RecentClicks(data, (3.0,), rates=True), RecentClicks(data, (3.0,))
    assert (both.latest(data).shape[1], shares.latest(data).shape[1]) == (3, 1)
    assert np.array_equal(both.latest(data)[:, 2:], shares.latest(data))
    alone = RecentClicks(data, (), rates=True)
    assert np.array_equal(alone.latest(data), both.latest(data)[:, :2])
    with pytest.raises(ValueError, match=r"host\.click_rates: the data set's timestamps are an order"):
        RecentClicks(replace(data, meta=replace(data.meta, time="order")), (), rates=True)


def test_a_candidates_own_rate_is_in_the_logit_from_the_start() -> None:
    data = random_dataset(3)
    data = replace(data, timestamp=data.timestamp * (DAY_MS // 700))
    config = replace(Config(), host=HostConfig(click_rates=True, min_count=1))
    part = Examples.of(data, slice(None))
    schema = Schema(item_features(data, part, config), user_features(data, part, config), (("text", 3),), 5, 5)
    count = len(data.item_ids)
    catalog = make_catalog(data, schema, [np.ones((count, 3), np.float32)], torch.ones(count, 1))
    model = make_idrec(schema, config, 0).eval()
    torch.nn.init.zeros_(model.from_cross.weight)
    batcher = Batcher(part, HistoryIndex(data, 5, 5), 4, 64, torch.device("cpu"))
    batcher.recent = RecentClicks(data, (), rates=True)
    batch = next(batcher.passes(None))
    assert batch.recent is not None
    encoded = encode_batch(model, catalog, batch, Dropping())
    nothing = replace(batch, recent=torch.zeros_like(batch.recent))
    moved = score_encoded(model, encoded, batch) - score_encoded(model, encoded, nothing)
    assert batch.recent[..., 0].abs().max() > 0.1
    assert torch.allclose(moved[..., 0], batch.recent[..., 0], atol=1e-5)
    # As the bundle has them: those of the end of the log, for all moments.
    branch = next(part for part in model.parts() if isinstance(part, RecentPopularity))
    branch.fill(catalog.item_ids["item_id"], batcher.recent.latest(data))
    end = np.full((1, count), int(data.timestamp[-1]) + 1)
    late = batcher.recent.at(np.arange(count)[None], end)[0]
    encoded = encode_batch(model, catalog, batch, Dropping())
    served = score_encoded(model, encoded, replace(batch, recent=None))
    of_the_end = replace(batch, recent=torch.from_numpy(late)[batch.items[batch.candidates]])
    assert torch.allclose(served, score_encoded(model, encoded, of_the_end), atol=1e-5)


def test_unknown_items_have_the_rate_of_one_that_was_never_shown() -> None:
    branch = RecentPopularity(4, 1, rates=True)
    branch.fill(torch.tensor([2, 3]), np.array([[-0.7, 0.5, 1.0], [0.4, 0.2, -1.0]], dtype=np.float32))
    assert branch.log_share.tolist()[0] == [0.0, 0.0, -1.0]
    assert torch.allclose(branch.log_share[2:], torch.tensor([[-0.7, 0.5, 1.0], [0.4, 0.2, -1.0]]))


def test_lists_start_from_shares_and_not_from_rates() -> None:
    schema = tiny_bundle().schema
    schema = replace(schema, tasks=(*schema.tasks, LIST_TASK))
    # Recent clicks are the last branch.
    host = HostConfig(click_rates=True, recent_clicks_days=(30.0, 7.0))
    config = replace(Config(), host=host, covisits=CovisitConfig(dim=0))
    model = make_idrec(schema, config, 0)
    model.trust_recent()
    assert model.wide_cross is not None
    assert model.wide_lists is not None
    assert model.wide_cross.weight[0, -4:].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert model.wide_lists.weight[0, -4:].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_level_is_what_a_user_clicks_beyond_what_was_expected() -> None:
    level = UserLevel()
    label = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    expected = torch.tensor([[0.5, 0.3, 0.4, 0.9], [0.2] * 4, [0.6] * 4])
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    found = level(label, expected, mask)[:, 0].tolist()
    shrunk = LEVEL_SHRINK
    assert found[0] == pytest.approx(log_odds((2 + shrunk * 0.4) / (3 + shrunk)) - log_odds(0.4), abs=1e-5)
    assert found[1] == pytest.approx(log_odds(shrunk * 0.2 / (4 + shrunk)) - log_odds(0.2), abs=1e-5)
    assert found[2] == 0.0
    # Chances near 0 and 1 leave it finite.
    ends = level(torch.tensor([[1, 0]]), torch.tensor([[0.0, 1.0]]), torch.ones(1, 2))
    assert torch.isfinite(ends).all()


def user_bias(model: ClickModel, label: list[int]) -> float:
    """Log-odds of a user alone, with a history of the first items."""
    schema = tiny_bundle().schema
    items = {
        name: torch.zeros(1, len(label), *rows.shape[1:])
        for name, rows in model.encode_items(tiny_inputs(len(label))).items()
    }
    users = {f.name: torch.ones((1, f.length) if f.length > 1 else (1,), dtype=torch.long) for f in schema.user}
    mask = torch.ones(1, len(label))
    told = torch.tensor([label])
    return float(model.encode_users(items, told, torch.zeros_like(told), mask, users)["bias_user"])


def tiny_inputs(count: int) -> ItemInputs:
    """So many items, all alike."""
    schema = tiny_bundle().schema
    width = sum(size for _, size in schema.parts)
    features = {
        f.name: torch.ones((count, f.length) if f.length > 1 else (count,), dtype=torch.long) for f in schema.item
    }
    return ItemInputs(torch.zeros(count, width), torch.ones(count, len(schema.parts)), features)


def test_a_users_level_is_in_the_logit_from_the_start_and_is_taken_over() -> None:
    schema = tiny_bundle().schema
    config = replace(Config(), unified=UnifiedConfig(user_level=True))
    model = make_unified(schema, config, 0).eval()
    with torch.no_grad():
        for part in (model, make_unified(schema, Config(), 0).eval()):
            torch.nn.init.zeros_(part.wide_user.weight)
        keen, tired = (user_bias(model, [label] * 6) for label in (1, 0))
        torch.nn.init.zeros_(model.level.weight)
        assert keen - user_bias(model, [1] * 6) == pytest.approx(log_odds((6 + 2.5) / 11), abs=1e-5)
        assert tired - user_bias(model, [0] * 6) == pytest.approx(log_odds(2.5 / 11), abs=1e-5)
        pretrained = make_pretrained(schema, config, 1)
        pretrained.level.weight.fill_(0.8)
        model.start_from(pretrained)
        assert float(model.level.weight) == pytest.approx(0.8)
