"""Taste: the solution of a regression, its invariances and export."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from bundles import unified_alone
from plugrank_training.config import Config, PpmConfig
from plugrank_training.export.bundle import export_bundle
from plugrank_training.export.tiny import tiny_bundle
from plugrank_training.models.build import make_pretrained, make_unified
from plugrank_training.models.taste import CONSTANT_PRECISION, Taste

ITEM_DIM, DIM, LENGTH = 10, 6, 40
WITH_TASTE = dataclasses.replace(Config(), ppm=PpmConfig(taste=8))


def history() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows, residuals and mask of two users, the second with half the history."""
    torch.manual_seed(5)
    rows = torch.randn(2, LENGTH, DIM)
    mask = torch.ones(2, LENGTH)
    mask[1, LENGTH // 2 :] = 0.0
    residual = (torch.rand(2, LENGTH) < 0.3).float() - 0.2
    return rows, residual * mask, mask


def test_taste_is_the_solution_of_the_regression() -> None:
    rows, residual, mask = history()
    taste = Taste(ITEM_DIM, DIM, steps=30)
    found = taste.user(rows, residual, mask).detach().double().numpy()
    information = float(functional.softplus(taste.information.detach()))
    assert information == pytest.approx(0.16, abs=1e-6)
    for user in (0, 1):
        count = int(mask[user].sum())
        known = np.hstack([rows[user, :count].double().numpy(), np.ones((count, 1))])
        left = information * known.T @ known + np.diag([1.0] * DIM + [CONSTANT_PRECISION])
        expected = np.linalg.solve(left, known.T @ residual[user, :count].double().numpy())
        assert np.abs(found[user] - expected[:DIM]).max() < 1e-5


def test_eight_steps_are_close_and_padding_changes_nothing() -> None:
    rows, residual, mask = history()
    taste, exact = Taste(ITEM_DIM, DIM, steps=8), Taste(ITEM_DIM, DIM, steps=40)
    found = taste.user(rows, residual, mask)
    assert (found - exact.user(rows, residual, mask)).abs().max() < 1e-3
    short = LENGTH // 2
    cut = taste.user(rows[1:, :short], residual[1:, :short], mask[1:, :short])
    assert torch.allclose(found[1:], cut, atol=1e-6)
    nobody = taste.user(rows, residual * 0.0, mask * 0.0)
    assert torch.equal(nobody, torch.zeros_like(nobody))


def test_taste_ignores_an_offset_of_all_labels() -> None:
    """A history keeps so many clicks and so many refusals, whatever share of them a user clicks."""
    rows, residual, mask = history()
    taste = Taste(ITEM_DIM, DIM, steps=30)
    moved = taste.user(rows, (residual + 0.3) * mask, mask) - taste.user(rows, residual, mask)
    told = taste.user(rows, residual, mask)
    assert moved.norm() < 0.1 * told.norm()


def test_taste_starts_as_log_odds_and_is_off_by_default() -> None:
    schema = tiny_bundle().schema
    plain, model = make_pretrained(schema, Config(), 0), make_pretrained(schema, WITH_TASTE, 0)
    assert plain.wide_cross is not None
    assert model.wide_cross is not None
    assert model.wide_cross.weight.shape[1] == plain.wide_cross.weight.shape[1] + 1
    assert not plain.wide_cross.weight.any()
    # Last of all comes the next-click score.
    assert model.wide_cross.weight[0].nonzero().flatten().tolist() == [model.wide_cross.weight.shape[1] - 2]
    model.trust_match()
    assert model.wide_cross.weight[0].nonzero().flatten().tolist() == [model.wide_cross.weight.shape[1] - 1]
    unified = make_unified(schema, WITH_TASTE, 0)
    unified.start_from(model)
    taken, given = (one.state_dict()["branches.ppm.taste.map.weight"] for one in (unified, model))
    assert torch.equal(taken, given)
    with_candidates = set(unified.candidate_outputs()) - set(make_unified(schema, Config(), 0).candidate_outputs())
    assert with_candidates == {"ppm_traits"}


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_a_bundle_with_it_computes_what_torch_computes(tmp_path: Path, dtype: str) -> None:
    """`export_bundle` runs every graph on ONNX Runtime and refuses one that differs."""
    bundle = tiny_bundle()
    model = make_unified(bundle.schema, dataclasses.replace(WITH_TASTE, cache_dtype=dtype), 0).eval()
    manifest = export_bundle(unified_alone(bundle, model), tmp_path / "bundle")
    stored = {port["name"] for port in manifest["graphs"]["user_encoder"]["outputs"]}
    assert "ppm_taste" in stored
    assert max(manifest["metrics"]["onnx_difference"].values()) < 1e-5
