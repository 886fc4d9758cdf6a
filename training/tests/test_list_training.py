"""Training for lists: sampled negatives, their probabilities, and the losses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from planted import write_planted
from plugrank_training.config import (
    Config,
    HistoryConfig,
    ImageConfig,
    ListConfig,
    PpmConfig,
    TextConfig,
    UnifiedConfig,
    load_config,
)
from plugrank_training.data.content_vectors import unit_rows
from plugrank_training.data.examples import Examples
from plugrank_training.data.history import HistoryBatch, HistoryIndex
from plugrank_training.data.recent_clicks import DAY_MS
from plugrank_training.evaluate.lists.metrics import Interval
from plugrank_training.evaluate.lists.verdict import ListComparison
from plugrank_training.export.bundle import Bundle, export_bundle
from plugrank_training.feature_config import ConfigError
from plugrank_training.fit import export_stage
from plugrank_training.fit.batches import Batcher
from plugrank_training.fit.export_stage import bundle_of, idrec_alone, judge_bundle
from plugrank_training.fit.list_loss import list_loss, list_losses, retrieval_loss, retrieval_query
from plugrank_training.fit.list_negatives import ListNegatives, lookup
from plugrank_training.fit.prepare import prepare
from plugrank_training.fit.run import open_run
from plugrank_training.fit.stages import fit_models
from plugrank_training.options import Options
from shops import random_dataset

ITEMS = 12


def train_part() -> Examples:
    random = np.random.default_rng(0)
    count = 400
    user = np.sort(random.integers(0, 40, count)).astype(np.int32)
    item = np.minimum(random.geometric(0.3, count), ITEMS - 1).astype(np.int32)
    return Examples(user, item, np.arange(count, dtype=np.int64), random.integers(0, 2, count).astype(np.int8))


def negatives(**changes: float | int) -> ListNegatives:
    vectors = unit_rows(np.random.default_rng(1).normal(size=(ITEMS, 4)).astype(np.float32))
    categories = [["a", "b"] if item % 3 else ["a"] for item in range(ITEMS)]
    return ListNegatives(train_part(), categories, vectors, ListConfig(share=0.5, **changes))  # type: ignore[arg-type]


def past_of(*clicks: list[int]) -> HistoryBatch:
    """Histories of clicks alone, newest first."""
    length = max(1, *(len(row) for row in clicks))
    items = np.full((len(clicks), length), -1, dtype=np.int64)
    for row, entries in enumerate(clicks):
        items[row, : len(entries)] = entries
    mask = (items >= 0).astype(np.float32)
    zeros = np.zeros(items.shape, dtype=np.int64)
    return HistoryBatch(items, (items >= 0).astype(np.int64), zeros, mask, np.zeros(len(clicks), dtype=np.int64))


def test_negatives_are_drawn_with_the_reported_probability() -> None:
    drawer = negatives(negatives=40_000, hard=0.6, popular=0.5)
    past = past_of([3, 1], [])
    every = np.tile(np.arange(ITEMS), (2, 1))
    found = drawer.draw(past, every, np.zeros(2, np.int64), np.random.default_rng(0))
    chance = np.exp(found.log_chance_candidates)
    assert np.allclose(chance.sum(axis=1), 1.0)
    for row in range(2):
        drawn = np.bincount(found.items[row], minlength=ITEMS) / found.items.shape[1]
        assert np.abs(drawn - chance[row]).max() < 0.01
        assert np.allclose(found.log_chance[row], found.log_chance_candidates[row][found.items[row]])
    # Somebody without clicks has nothing to be hard for.
    assert np.allclose(chance[1], drawer.base)
    assert np.abs(chance[0] - chance[1]).max() > 0.02


def test_past_clicks_are_not_negatives() -> None:
    found = negatives(negatives=300).draw(
        past_of([3, 1]), np.array([[5, 6]]), np.zeros(1, np.int64), np.random.default_rng(0)
    )
    assert set(found.items[0][found.blocked[0]].tolist()) == {1, 3}
    assert {1, 3}.isdisjoint(found.items[0][~found.blocked[0]].tolist())
    assert {5, 6} <= set(found.items[0].tolist())


def test_popular_items_are_drawn_as_of_the_moment() -> None:
    """By clicks that halve with time, strictly before: every chance is that of the draws, and counts nothing later."""
    days = np.repeat(np.arange(20), 20) * (DAY_MS // 2)
    part = replace(train_part(), timestamp=days.astype(np.int64))
    vectors = unit_rows(np.random.default_rng(1).normal(size=(ITEMS, 4)).astype(np.float32))
    config = ListConfig(share=0.5, negatives=40_000, hard=0.0, popular=0.7, popular_days=2.0)
    drawer = ListNegatives(part, [["a"]] * ITEMS, vectors, config)
    moments = np.array([0, 3, 8]) * DAY_MS
    every = np.tile(np.arange(ITEMS), (3, 1))
    found = drawer.draw(past_of([3], [1], []), every, moments, np.random.default_rng(0))
    chance = np.exp(found.log_chance_candidates)
    clicked = part.label == 1
    for row, moment in enumerate(moments.tolist()):
        earlier = clicked & (part.timestamp < moment)
        weight = np.bincount(part.item[earlier], np.exp2((part.timestamp[earlier] - moment) / (2 * DAY_MS)), ITEMS)
        popular = 0.7 if earlier.any() else 0.0
        expected = popular * weight / max(weight.sum(), 1e-9) + (1 - popular) / ITEMS
        assert np.allclose(chance[row], expected)
        drawn = np.bincount(found.items[row], minlength=ITEMS) / found.items.shape[1]
        assert np.abs(drawn - expected).max() < 0.01
        assert np.allclose(found.log_chance[row], found.log_chance_candidates[row][found.items[row]])


def test_an_order_of_clicks_has_no_moments(tmp_path: Path) -> None:
    folder = write_planted(tmp_path / "set")
    meta = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(meta | {"time": "order"}))
    options = Options(folder, tmp_path / "out", "peruser", "plugrank", None, 0, torch.device("cpu"), no_test=True)
    lists = ListConfig(share=0.5, popular_days=30.0)
    config = Config(text=TextConfig(encoder="small", steps=1), image=ImageConfig(encoder="none"), lists=lists)
    with pytest.raises(ValueError, match=r"lists\.popular_days: the data set's timestamps are an order"):
        prepare(open_run(options, config), show_groups=False)


def test_hard_negatives_are_near_the_history() -> None:
    table = negatives().after.toarray()
    assert np.allclose(table.sum(axis=1), 1.0)
    assert (table[:, 0] >= 0).all()
    sparse = negatives().after
    columns = np.tile(np.arange(ITEMS), (ITEMS, 1))
    assert np.allclose(lookup(sparse, columns), table)


def test_the_corrected_softmax_finds_the_share_of_the_whole_catalog() -> None:
    """Whatever items are drawn by and however few, what minimises the loss is how often each is clicked."""
    random = np.random.default_rng(0)
    share = random.dirichlet(np.ones(6))
    chance = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])
    score = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.Adam([score], lr=0.02)
    log_chance = torch.from_numpy(np.log(chance)).float()
    for step in range(3000):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 3000)
        clicked = torch.from_numpy(random.choice(6, (256, 1), p=share))
        drawn = torch.from_numpy(random.choice(6, (256, 4), p=chance))
        losses = list_losses(
            score[clicked], score[drawn], log_chance[clicked], log_chance[drawn], torch.zeros(256, 4) > 0
        )
        optimizer.zero_grad()
        list_loss(losses, torch.ones(256, 1)).backward()
        optimizer.step()
    found = score.detach().softmax(0).numpy()
    assert np.abs(found - share).max() < 0.03
    # Without the correction it would be the ratio of both.
    ratio = share / chance / (share / chance).sum()
    assert np.abs(ratio - share).max() > 0.1


def test_the_list_loss_covers_clicks_only() -> None:
    losses = torch.tensor([[1.0, 5.0], [3.0, 7.0]])
    assert list_loss(losses, torch.tensor([[1.0, 0.0], [1.0, 0.0]])).item() == 2.0
    assert list_loss(losses, torch.zeros(2, 2)).item() == 0.0
    zero = torch.zeros(1, 2)
    against = list_losses(torch.zeros(1, 1), zero, torch.zeros(1, 1), zero, torch.tensor([[False, True]]))
    assert np.isclose(against.item(), np.log(2.0))


def test_the_query_equals_that_of_retrieval() -> None:
    vectors = torch.eye(3).unsqueeze(0)
    clicked = torch.tensor([[1.0, 0.0, 1.0]])
    query = retrieval_query(vectors, clicked)[0]
    assert torch.isclose(query.norm(), torch.tensor(1.0))
    assert torch.isclose(query[0] / query[2], torch.tensor(2.0 ** (1 / 8)))
    assert query[1] == 0
    assert retrieval_query(vectors, torch.zeros(1, 3)).abs().sum() == 0


def test_the_retrieval_loss_by_hand() -> None:
    query = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    item, user = torch.tensor([0, 1, 2]), torch.tensor([7, 8, 7])
    popularity = torch.log(torch.tensor([0.5, 0.25, 0.25]))
    found = retrieval_loss(query, query, item, user, popularity, 1.0)
    logit = query @ query.T - popularity
    # Clicks 0 and 2 are one user's and no negatives of one another.
    first = torch.logsumexp(logit[0, [0, 1]], 0) - logit[0, 0]
    second = torch.logsumexp(logit[1], 0) - logit[1, 1]
    third = torch.logsumexp(logit[2, [1, 2]], 0) - logit[2, 2]
    assert torch.isclose(found, (first + second + third) / 3)
    assert retrieval_loss(query[:1], query[:1], item[:1], user[:1], popularity[:1], 1.0) == 0


def test_batches_with_drawn_items_repeat_and_can_be_skipped() -> None:
    data = random_dataset(1)
    part = Examples.of(data, slice(None))
    vectors = unit_rows(np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32))
    batcher = Batcher(part, HistoryIndex(data, 5, 5), 4, 64, torch.device("cpu"))
    batcher.negatives = ListNegatives(part, [["x"]] * 30, vectors, ListConfig(share=0.5, negatives=6))

    without: list[int] = []

    def drawn(skip: int) -> list[torch.Tensor]:
        found = []
        for batch in batcher.passes(np.random.default_rng(5), skip=skip):
            assert batch.drawn is not None
            clicked = (batch.label * batch.there).any(dim=1)
            assert torch.equal(batch.drawn.lists, clicked.nonzero()[:, 0])
            assert batch.drawn.places.shape == (len(batch.drawn.lists), 6)
            without.append(len(batch.users) - len(batch.drawn.lists))
            found.append(batch.items[batch.drawn.places])
        return found

    whole, rest = drawn(0), drawn(2)
    assert len(whole) > 3
    assert sum(without) > 0
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest, strict=True))
    assert not torch.equal(whole[0][:2], whole[1][:2])


def test_invalid_list_shares_are_named(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[lists]\nshare = 1.5\n")
    with pytest.raises(ConfigError, match=r"lists\.share = 1\.5"):
        load_config(file)
    file.write_text("[next_clicks]\nlogged = 1\n")
    with pytest.raises(ConfigError, match=r"`next_clicks\.logged` must be of type bool"):
        load_config(file)
    file.write_text("[next_clicks]\nlogged = true\n[host]\npopularity = false\n")
    assert load_config(file).suited_to(clicks_only=False).next_clicks.epochs == Config().next_clicks.epochs
    assert Config().suited_to(clicks_only=False).next_clicks.epochs == 0


def check_idrec_alone(bundle: Bundle, folder: Path) -> None:
    """It is cut as the unified model is, reads no content, and is found by its own vectors."""
    assert bundle.idrec is not None
    manifest = export_bundle(idrec_alone(bundle, bundle.idrec), folder)
    assert list(manifest["graphs"]) == ["item_encoder", "user_encoder", "unified"]
    assert manifest["retrieval"] == {"item_vector": "id_vector"}
    assert manifest["calibration"]["unified"] == bundle.calibration["idrec"]
    read = {port["source"] for graph in manifest["graphs"].values() for port in graph["inputs"]}
    assert {"candidate.item.id_query", "user.state.id_keys"} <= read
    assert not any("modal" in source for source in read)


def test_a_bundle_with_worse_lists_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_planted(tmp_path / "set")
    options = Options(data, tmp_path / "out", None, "plugrank", None, 0, torch.device("cpu"), no_test=True)
    quick = Config(
        text=TextConfig(dim=16, layers=1, heads=2, vocabulary=200, max_tokens=12, steps=100, learning_rate=5e-3),
        image=ImageConfig(encoder="none"),
        history=HistoryConfig(clicks=15, impressions=15),
        ppm=PpmConfig(epochs=2, learning_rate=5e-3),
        unified=UnifiedConfig(epochs=1, learning_rate=5e-3),
    )
    run = open_run(options, quick)
    prepared = prepare(run, show_groups=False)
    models = fit_models(run, prepared, ("idrec", "unified")).models
    verdict = judge_bundle(run, prepared, models, accept_worse_lists=False)
    lists = verdict.lists
    assert verdict.better
    assert lists is not None
    assert lists.users > 20
    gain = lists.gain["recall@20"]
    assert abs(gain.value - (lists.model["recall@20"] - lists.other["recall@20"])) < 1e-9
    bundle = bundle_of(run, prepared, models, verdict)
    assert bundle.metrics["verdict"] == verdict.summary()
    check_idrec_alone(bundle, tmp_path / "alone")
    worse = ListComparison({"recall@20": 0.1}, {"recall@20": 0.2}, {"recall@20": Interval(-0.1, -0.2, -0.01)}, 9)
    monkeypatch.setattr(export_stage, "compare_lists", lambda *_: worse)
    refused = judge_bundle(run, prepared, models, accept_worse_lists=False)
    assert not refused.better
    assert "worse lists: recall@20 0.1000 against 0.2000" in refused.reason
    accepted = judge_bundle(run, prepared, models, accept_worse_lists=True)
    assert accepted.better
    assert "worse lists are accepted" in accepted.reason
    # A model that is no better by AUC is not called better, whatever its lists.
    turned = {"idrec": models["unified"], "unified": models["idrec"]}
    assert not judge_bundle(run, prepared, turned, accept_worse_lists=True).better
