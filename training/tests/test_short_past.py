"""Users with a short history: gates by its length, and histories shortened in training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from plugrank_training.config import Config, UnifiedConfig
from plugrank_training.evaluate.slices import past_name
from plugrank_training.export.tiny import tiny_bundle
from plugrank_training.feature_config import ConfigError
from plugrank_training.fit.batches import SHORTEST, newest_entries
from plugrank_training.models.build import make_pretrained, make_unified
from plugrank_training.models.click_model import ClickModel
from plugrank_training.models.gate import PastGate
from plugrank_training.models.inputs import ItemInputs

GATED = dataclasses.replace(Config(), unified=UnifiedConfig(gate=True))


def scores(model: ClickModel, length: int) -> torch.Tensor:
    """Of three candidates for a user whose history is that long."""
    torch.manual_seed(2)
    schema = tiny_bundle().schema
    count, width = 12, sum(size for _, size in schema.parts)
    features = {
        f.name: torch.ones((count, f.length) if f.length > 1 else (count,), dtype=torch.long) for f in schema.item
    }
    features["item_id"] = torch.arange(count) % next(f.size for f in schema.item if f.name == "item_id")
    made = model.encode_items(ItemInputs(torch.randn(count, width), torch.ones(count, len(schema.parts)), features))
    history = {name: made[name][:8].unsqueeze(0) for name in model.history_outputs()}
    users = {f.name: torch.ones((1, f.length) if f.length > 1 else (1,), dtype=torch.long) for f in schema.user}
    mask = (torch.arange(8) < length).float().unsqueeze(0)
    label = torch.tensor([[1, 0, 1, 1, 0, 1, 0, 1]])
    state = model.encode_users(history, label, torch.zeros(1, 8, dtype=torch.long), mask, users)
    candidates = {name: made[name][8:11].unsqueeze(0) for name in model.candidate_outputs()}
    return model.score(state, candidates, torch.zeros(1, dtype=torch.long))


def test_gates_start_from_one_and_scale_branch_outputs() -> None:
    schema = tiny_bundle().schema
    plain, gated = make_unified(schema, Config(), 0).eval(), make_unified(schema, GATED, 0).eval()
    gated.load_state_dict(plain.state_dict(), strict=False)
    for model in (plain, gated):
        assert model.wide_cross is not None
        torch.nn.init.ones_(model.wide_cross.weight)
    assert torch.allclose(scores(plain, 5), scores(gated, 5), atol=1e-6)
    assert gated.gate is not None
    # PPM, the first branch, is silenced where there is little past and speaks twice as loudly where there is more.
    torch.nn.init.constant_(gated.gate.weigh.bias[:1], -30.0)
    torch.nn.init.constant_(gated.gate.weigh.weight[:1], 60.0)
    found = [scores(gated, length) - scores(plain, length) for length in (1, 8)]
    assert all(float(difference.abs().max()) > 1e-3 for difference in found)
    # Without any past PPM says nothing of a pair, however its gate stands.
    assert torch.allclose(scores(plain, 0), scores(gated, 0), atol=1e-6)


def test_a_gate_reads_how_many_entries_there_are_of_each_label() -> None:
    gate = PastGate(2)
    torch.nn.init.normal_(gate.weigh.weight)
    label, mask = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]]), torch.tensor([[1.0, 1, 1, 0], [1.0, 0, 0, 0]])
    counts = np.array([[1, 2], [0, 1]])
    logit = np.log1p(counts) * 0.3 @ gate.weigh.weight.detach().numpy().T
    assert np.abs(gate(label, mask).detach().numpy() - 2.0 / (1.0 + np.exp(-logit))).max() < 1e-6


def test_gates_of_pre_training_are_taken_over() -> None:
    schema = tiny_bundle().schema
    pretrained = make_pretrained(schema, GATED, 0)
    assert pretrained.gate is not None
    torch.nn.init.constant_(pretrained.gate.weigh.weight, 3.0)
    model = make_unified(schema, GATED, 1)
    model.start_from(pretrained)
    assert model.gate is not None
    rows = model.gate.weigh.weight
    assert bool((rows[: len(pretrained.parts())] == 3.0).all())
    assert bool((rows[len(pretrained.parts()) :] == 0.0).all())


def test_a_shortened_history_keeps_its_newest_entries() -> None:
    torch.manual_seed(0)
    kept = newest_entries(4000, 100, 0.25, torch.device("cpu"))
    lengths = kept.sum(1)
    # The newest ones, without gaps.
    assert torch.equal(kept, (torch.arange(100) < lengths.unsqueeze(1)).float())
    short = lengths < 100
    assert short.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert {int(length) for length in lengths[short]} == set(range(1, SHORTEST + 1))
    assert bool((newest_entries(50, 7, 0.0, torch.device("cpu")) == 1.0).all())


def test_stored_states_of_whole_histories_cannot_be_shortened() -> None:
    unified = UnifiedConfig(shorten_history=0.5, freeze=("ppm.projection", "ppm.transformer"))
    with pytest.raises(ConfigError, match=r"unified\.shorten_history cuts histories; ppm\.transformer"):
        dataclasses.replace(Config(), unified=unified).check()
    with pytest.raises(ConfigError, match=r"unified\.shorten_history = 1\.5: must lie between 0 and 1"):
        dataclasses.replace(Config(), unified=UnifiedConfig(shorten_history=1.5)).check()


def test_slices_by_past_say_what_they_hold() -> None:
    assert [past_name(0, 1), past_name(1, 20), past_name(60, None)] == ["no past", "past 1 to 19", "past 60 and more"]
