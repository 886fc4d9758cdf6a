"""The in-user ranking loss, and batches that hold a user's impressions together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from planted import write_planted
from plugrank_training.data.dataset import Dataset
from plugrank_training.data.history import HistoryIndex
from plugrank_training.data.splits import make_split
from plugrank_training.fit.batches import RUN, Batcher
from plugrank_training.fit.ranking_loss import ranking_log_loss, ranking_loss
from plugrank_training.fit.train import valid_loss

USER = np.array([4, 4, 4, 9, 9, 9, 9, 2])
LABEL = np.array([1, 0, 0, 1, 1, 0, 1, 1])
LOGIT = np.array([0.5, -1.0, 2.0, 0.0, 1.0, 3.0, -2.0, 7.0])


def by_hand() -> float:
    """User 2 has one class and is left out; users 4 and 9 weigh 3 and 4."""
    four = np.logaddexp(0, np.array([-1.5, 1.5])).mean()
    nine = np.logaddexp(0, np.array([3.0, 2.0, 5.0])).mean()
    return (3 * four + 4 * nine) / 7


def test_the_loss_is_the_mean_over_pairs_of_each_user_weighted_by_rows() -> None:
    assert ranking_log_loss(USER, LABEL, LOGIT) == pytest.approx(by_hand())
    found = ranking_loss(torch.tensor(LOGIT), torch.tensor(LABEL).double(), torch.tensor(USER))
    assert found.item() == pytest.approx(by_hand(), rel=1e-6)


def test_ranking_loss_ignores_a_users_offset() -> None:
    shift = np.where(USER == 4, 5.0, np.where(USER == 9, -3.0, 1.0))
    assert ranking_log_loss(USER, LABEL, LOGIT + shift) == pytest.approx(by_hand())


def test_ranking_loss_without_pairs_is_0_and_has_a_gradient() -> None:
    logit = torch.zeros(3, requires_grad=True)
    loss = ranking_loss(logit, torch.ones(3), torch.tensor([1, 1, 2]))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logit.grad, torch.zeros(3))
    assert ranking_log_loss(USER[:1], LABEL[:1], LOGIT[:1]) == 0.0


def test_validation_loss_mixes_both_losses(tmp_path: Path) -> None:
    part = make_split(Dataset.load(write_planted(tmp_path)), "global").valid
    logits = np.random.default_rng(0).normal(size=len(part))
    whole, rank = valid_loss(logits, part, 0.0), ranking_log_loss(part.user, part.label, logits)
    assert valid_loss(logits, part, 0.25) == pytest.approx(0.75 * whole + 0.25 * rank)


def test_batches_by_user_hold_every_example_once_and_users_together(tmp_path: Path) -> None:
    dataset = Dataset.load(write_planted(tmp_path))
    train = make_split(dataset, "global").train
    batcher = Batcher(train, HistoryIndex(dataset, 15, 15), 8, 128, torch.device("cpu"))
    batches = list(batcher.passes(np.random.default_rng(0), by_user=True))
    seen = np.concatenate([batch.example[batch.example >= 0] for batch in batches])
    assert sorted(seen.tolist()) == list(range(len(train)))

    def users_in(batch_rows: np.ndarray) -> float:
        return float(np.mean([len(np.unique(train.user[rows])) for rows in batch_rows]))

    scattered = [b.example[b.example >= 0] for b in batcher.passes(np.random.default_rng(0))]
    together = [b.example[b.example >= 0] for b in batches]
    assert users_in(together) <= 2 * 128 / RUN
    assert users_in(scattered) > 4 * users_in(together)
    # From any of their times: a run spans much of what its user has.
    spans = [np.ptp(train.timestamp[rows[train.user[rows] == train.user[rows[0]]]]) for rows in together]
    assert np.median(spans) > 0.5 * np.ptp(train.timestamp)


def test_processes_share_a_batch_by_whole_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset.load(write_planted(tmp_path))
    train = make_split(dataset, "global").train
    batcher = Batcher(train, HistoryIndex(dataset, 15, 15), 8, 128, torch.device("cpu"))

    def rows() -> list[np.ndarray]:
        found = batcher.passes(np.random.default_rng(0), by_user=True)
        return [batch.example[batch.example >= 0] for batch in found]

    whole = rows()
    monkeypatch.setattr("plugrank_training.fit.batches.world", lambda: 2)
    shares = []
    for number in (0, 1):
        monkeypatch.setattr("plugrank_training.fit.batches.rank", lambda number=number: number)
        shares.append(rows())
    for one, left, right in zip(whole, *shares, strict=True):
        if len(np.unique(train.user[one])) == 1:
            # Nothing to share: both make it, and the mean is the same.
            assert sorted(one) == sorted(left) == sorted(right)
            continue
        assert sorted(one) == sorted([*left, *right])
        assert not set(train.user[left]) & set(train.user[right])
